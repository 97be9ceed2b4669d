"""Scores to tables and figures."""
