//! Cases that PyTorch answered.
