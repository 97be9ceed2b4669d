"""Data sets from scans on disk to case table, split, plan and arrays."""
