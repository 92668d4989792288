"""Data sets of people's photos: read, check, split, crop, decode, cache and draw them."""
