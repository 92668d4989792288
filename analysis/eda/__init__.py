"""A page about a data set: people, classes, sizes, suspicious labels."""
