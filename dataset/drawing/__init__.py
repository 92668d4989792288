"""Drawn people: who they are (people), what they look like (face, hair, mask), how they are photographed."""
