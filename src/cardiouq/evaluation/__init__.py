"""Predictions to scores; needs neither torch nor MONAI."""
