"""Models that nnU-Net v2 trained, read and predicted with without nnU-Net."""
