"""A page about a data set: who is in it, its classes, sizes and suspects."""
