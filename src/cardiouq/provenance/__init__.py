"""Where results come from, and whether two are of one state."""
