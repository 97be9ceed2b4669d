"""Scans on disk to case table, split, plan and arrays."""
