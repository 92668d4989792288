"""Report pages of experiments, runs and submissions."""
