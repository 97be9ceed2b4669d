"""The machine: its processors, its environment."""
