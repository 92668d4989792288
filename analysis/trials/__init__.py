"""Run folders and NNI's database to one table of trials; their ranking."""
