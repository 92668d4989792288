"""Face detection: the face of each photo of a data set, found once and cached."""
