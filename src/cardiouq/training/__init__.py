"""Training: from recipes to runs, which are trajectories of checkpoints."""
