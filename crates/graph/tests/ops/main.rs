//! Every operator's shape rule and reference evaluation: tables, identities, and properties over random operators.

mod cases;
mod notation;
mod properties;
mod shapes_dense;
mod shapes_layout;
mod shapes_spatial;
mod values_dense;
mod values_layout;
mod values_spatial;
mod wider_cases;
