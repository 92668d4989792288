"""Run folders and NNI's database to one table of trials, and their ranking."""
