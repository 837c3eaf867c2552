//! The binary, as somebody types it.

mod bad_input;
mod bench;
mod compare;
mod help;
#[cfg(target_os = "linux")]
mod places;
#[cfg(target_os = "linux")]
mod suites;
#[path = "../support/mod.rs"]
mod support;
mod tune;
mod verify;
mod weights;
mod worker;
