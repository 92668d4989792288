"""What may be wrong with the data behind a score: labels, people on both sides of a split, other photos."""
