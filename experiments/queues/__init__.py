"""Trials as jobs of a cluster's queue: SLURM, Ray, or this machine."""
