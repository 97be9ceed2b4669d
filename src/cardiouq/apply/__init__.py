"""Trained models that travel, and what they make of scans that nobody segmented."""
