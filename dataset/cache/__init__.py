"""Decoded photos, kept in out/cache as memory-mapped arrays that all trials share."""
