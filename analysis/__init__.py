"""After the experiment: which recipe is best, retrained on everyone, down to the submission."""
