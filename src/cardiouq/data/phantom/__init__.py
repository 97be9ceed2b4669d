"""The digital phantom of a heart, scanned."""
