"""People and their photos: what is on disk, read, checked, split and drawn."""
