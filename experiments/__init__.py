"""Experiments: one YAML a question, and what checks, runs and smoke-tests them."""
