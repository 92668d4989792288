"""The command line of a trial: train a recipe, list what there is to choose from, check, fetch weights."""
