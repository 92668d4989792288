"""One training run: a frozen config in, a run folder out."""
