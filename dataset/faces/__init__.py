"""Where the face is in each photo, found once for each data set."""
