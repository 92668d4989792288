"""What can be wrong with an experiment's YAML, its search space and its machine."""
