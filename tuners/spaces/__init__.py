"""A search space of NNI as flat parameters, and recipes from elsewhere as points of it."""
