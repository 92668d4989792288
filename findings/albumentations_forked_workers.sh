#!/bin/sh
# albumentations 2.0.8: a Compose without a seed draws from a generator of its own, made when it is constructed.
# Processes that are forked from there (each worker of a torch DataLoader with num_workers > 0 on Linux) inherit the
# same state: all workers augment alike, and since the parent's generator never moves, the workers of the *next epoch*
# repeat the first epoch's augmentations, and so on to the last. np.random.seed or random.seed in the worker (the usual
# worker_init_fn) changes nothing; set_random_seed with a seed of its own in each worker and epoch does.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q --disable-pip-version-check \
  albumentations==2.0.8 numpy==2.4.6 opencv-python-headless==5.0.0.93
cat >"$folder/run.py" <<'CODE'
import multiprocessing
import random

import albumentations as A
import numpy as np

photo = np.dstack([np.tile(np.arange(64, dtype=np.uint8), (64, 1))] * 3)
augment = A.Compose([A.RandomBrightnessContrast(p=1)])  # no seed


def worker(number, epoch, reseed, answers):
    """One worker's epoch: four photos."""
    np.random.seed(100 * epoch + number)
    random.seed(100 * epoch + number)
    if reseed:
        augment.set_random_seed(100 * epoch + number)
    answers.put((number, [round(float(augment(image=photo)["image"].mean()), 2) for _ in range(4)]))


def epochs(reseed):
    fork = multiprocessing.get_context("fork")
    drawn = []
    for epoch in range(2):
        answers = fork.Queue()
        workers = [fork.Process(target=worker, args=(n, epoch, reseed, answers)) for n in range(2)]
        for process in workers:
            process.start()
        for number, brightness in sorted(answers.get() for _ in workers):
            print(f"  epoch {epoch + 1}, worker {number + 1}: mean brightness {brightness}")
            drawn.append(tuple(brightness))
        for process in workers:
            process.join()
    return drawn


print("albumentations", A.__version__)
print("numpy and random seeded in each worker:")
same = epochs(reseed=False)
print("Compose.set_random_seed in each worker and epoch:")
different = epochs(reseed=True)
print(f"different streams: {len(set(same))} and {len(set(different))} of 4")
assert len(set(same)) == 1 and len(set(same[0])) > 1
assert len(set(different)) == 4
CODE
NO_ALBUMENTATIONS_UPDATE=1 "$folder/venv/bin/python" "$folder/run.py"
