"""Recipes to runs: trajectories of checkpoints."""
