#!/bin/sh
# torch 2.14.1: where the iterator of a DataLoader with worker processes is freed by Python's cyclic garbage collector, and
# not by its last reference, it waits 5 seconds for each worker, one after the other, and then ends them by force: 20
# seconds for four idle workers, which a del of the same iterator ends in a tenth of a second. It takes no more than an
# exception that is kept beside the frame that it came through, an object that refers to itself, or a training loop in a
# class with a callback. The collector runs the finalizers of the queues to the workers before the iterator's __del__, so
# the message that ends a worker is put into a queue whose thread has gone already, and nobody says so. The pause comes
# at whatever line the collector runs in. persistent_workers changes nothing.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q --disable-pip-version-check torch==2.14.1 numpy
"$folder/venv/bin/python" -W ignore - <<'CODE'
import gc
import time

import torch
from torch.utils.data import DataLoader


def seconds(workers, cycle, persistent):
    """What freeing an iterator takes whose workers are idle."""
    batches = iter(DataLoader(range(64), batch_size=4, num_workers=workers, persistent_workers=persistent))
    next(batches)
    time.sleep(0.5)  # all that is prepared ahead lies ready
    gc.collect()
    gc.disable()
    holder = [batches]
    if cycle:
        holder.append(holder)
    start = time.perf_counter()
    del batches, holder
    gc.collect()
    gc.enable()
    return time.perf_counter() - start


print("torch", torch.__version__)
for workers in (1, 2, 4):
    for persistent in (False, True):
        alone, cycle = (seconds(workers, cycle, persistent) for cycle in (False, True))
        print(f"{workers} workers, persistent {persistent}: by reference {alone:.1f} s, by the collector {cycle:.1f} s")
        assert alone < 2 and cycle > 4 * workers
CODE
