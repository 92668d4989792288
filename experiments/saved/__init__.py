"""Experiments that were run before: list them, go on with one."""
