"""Run folders to probabilities: test-time augmentation, votes, ensembles."""
