"""Searches replayed on a recorded table of learning curves."""
