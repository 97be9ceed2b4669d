"""Public data sets: their sources, and how they are fetched."""
