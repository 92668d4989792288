"""The environment that NNI runs in, and changes to its manager: on this machine only, with short gaps."""
