"""Figures of a study, one module each."""
