"""What lies on disk: written whole, sealed, locked, read."""
