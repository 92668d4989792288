"""Formats of data sets other than the home task's: a CSV of photos, and one folder per class."""
