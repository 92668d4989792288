"""What every package uses: errors, logs, files, processes, progress, this machine, and values as text."""

import os

# Set here, as every command imports this package before torch and numpy.
# Threads of torch's OpenMP (libgomp) spin before they sleep while waiting for each other. With more threads
# than free cores the long default makes training many times slower; this one costs an idle machine a few
# percent.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")
# numpy's OpenBLAS would start a thread per core at import, before trial/process/signals.py blocks SIGTERM for
# them, and its matrices here are small.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
