"""Generators of the tables that are kept in the repository."""
