"""Augmentation: policies, their steps, and the mixing of photos."""
