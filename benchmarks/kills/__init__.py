"""Kills a search at random moments, goes on with it, and counts what was lost, doubled or left behind."""
