"""Networks, their heads, and the pretrained weights that they start from."""
