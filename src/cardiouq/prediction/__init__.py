"""Predictions: from runs to mean probabilities, uncertainty and segmentations."""
