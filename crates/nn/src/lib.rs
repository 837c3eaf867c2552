//! Layers in PyTorch's vocabulary that build graphs, and the study's models.
