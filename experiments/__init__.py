"""Experiments: one YAML for each question, and the commands that check, run and smoke-test them."""
