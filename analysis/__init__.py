"""After an experiment: which recipe is best, retraining, prediction, the submission and the reports."""
