"""Trials on other machines, reached by SSH: which, whether they can run them, and their run folders."""
