"""Run folders to probabilities: test-time augmentation, votes, validation."""
