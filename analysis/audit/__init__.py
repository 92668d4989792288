"""Audits of the data behind a score: labels, people on both sides of a split, other photos to predict."""
