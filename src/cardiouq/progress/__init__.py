"""Progress of a study: what is done, and what is left."""
