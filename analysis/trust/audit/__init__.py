"""What may be wrong with the data of a score: labels, the same person on both sides of a split, other photos."""
