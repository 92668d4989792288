"""Checks of an experiment: its YAML, search space, tuner and assessor, and what it needs of the machine."""
