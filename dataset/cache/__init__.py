"""The cache folder: arrays made from a set of photos once, found again by every trial."""
