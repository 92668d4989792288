"""Draw synthetic people: their attributes, face, hair and mask, one photo, and a whole data set."""
