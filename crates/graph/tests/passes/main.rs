//! The passes recognise what they say and leave every result unchanged: a table of patterns for each, and random graphs.

mod attention;
mod eliminate;
mod fold;
mod fuse;
mod gelu;
mod identities;
mod norm;
mod powers;
mod random;
mod simplify;
mod support;
