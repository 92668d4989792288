"""Generators of tables and catalogues that are kept in the repository."""
