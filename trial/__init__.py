"""One training run: a frozen config in, a run folder out."""

import os

# Threads of torch's OpenMP (libgomp) that wait for one another spin a while first. With more threads than
# free cores its long default makes training many times slower; this one costs an idle machine a few percent.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")
# numpy's OpenBLAS would start a thread a core at its import, before trial/signals.py shields them from SIGTERM,
# for small matrices only.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
