"""NNI's manager on this machine only, with short gaps between trials; and the environment it runs in."""
