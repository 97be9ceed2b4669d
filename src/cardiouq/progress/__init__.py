"""How far a study is, and what is left."""
