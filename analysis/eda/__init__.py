"""A page about a data set: groups, classes, sizes, suspicious labels."""
