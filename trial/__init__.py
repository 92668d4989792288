"""One training run: a frozen config in, a run folder out."""

import os

# Threads of torch's OpenMP (libgomp) that wait for one another spin a while first. With more threads than free
# cores the long default makes training ten times slower; this little costs an idle machine a few percent.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")
