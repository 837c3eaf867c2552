//! Load generators, the scaling study, reports.
