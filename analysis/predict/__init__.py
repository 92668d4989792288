"""Run folders to probabilities and answers: test-time augmentation, votes, validation, decisions."""
