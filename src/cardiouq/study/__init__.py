"""A study: its settings, runs and sources."""
