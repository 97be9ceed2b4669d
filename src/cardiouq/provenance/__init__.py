"""Provenance: where results come from, and whether two are of one state."""
