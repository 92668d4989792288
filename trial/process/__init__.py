"""The process of a run: its device, precision and threads, its ranks on several GPUs, and what stops it."""
