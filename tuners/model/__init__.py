"""The model that chooses recipes: a Gaussian process of scores, failures and costs, and learning curves."""
