"""The run folder: what a trial leaves and goes on from, and what it was made of."""
