//! The device seam: traits, errors, a scripted fake device, and the conformance suite.
