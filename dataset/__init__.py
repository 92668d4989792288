"""Data sets of labelled photos: read, check, split, crop, decode, cache and draw them."""
