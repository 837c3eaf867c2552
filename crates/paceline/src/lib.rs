//! Runs neural networks for many callers at once on one device.
