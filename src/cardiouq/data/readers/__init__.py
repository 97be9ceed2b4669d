"""Readers of scans in every layout."""
