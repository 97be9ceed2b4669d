"""Files on disk: written atomically with their hashes, locked, read and compared."""
