"""Augmentation: policies, the steps that they are made of, and mixing."""
