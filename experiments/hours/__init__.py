"""A search within given hours: what fits, by a measured pilot, and how long the rest takes."""
