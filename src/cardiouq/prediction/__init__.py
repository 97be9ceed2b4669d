"""Runs to mean probabilities, uncertainty and segmentations."""
