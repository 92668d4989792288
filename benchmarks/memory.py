"""Peak anonymous memory (RssAnon: without mapped photos, with workers) against that of the network alone.

    python -m benchmarks memory        (writes 11 GB of noise below out/, and removes it)

Each way trains lcnet_050 at 512x384 for a few steps in a process of its own and reports its peak. The limit
is the same training on random tensors that are made once.
"""

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import psutil

from benchmarks.measure import Row
from common.machine import PROJECT
from dataset.face_masks.labels import FACE_MASK

SIZE, BATCH, STEPS = (512, 384), 16, 12
FULL = 18_900  # photos: the competition's training set
FEW = 200


class Peak(threading.Thread):
    """Peak anonymous memory of this process and its children, in MB, sampled every 10 ms."""

    def __init__(self):
        super().__init__(daemon=True)
        self.megabytes = 0.0
        self.start()

    def run(self) -> None:
        me = psutil.Process()
        while True:
            self.megabytes = max(self.megabytes, sum(map(_anonymous, [me, *me.children(recursive=True)])))
            time.sleep(0.01)


def _anonymous(process: psutil.Process) -> float:
    try:
        status = Path(f"/proc/{process.pid}/status").read_text()
    except OSError:
        return 0.0
    return int(status.partition("RssAnon:")[2].split()[0]) / 1024


def write_noise(path: Path, photos: int) -> None:
    """Write an array of noise in the cache's format, piece by piece."""
    random = np.random.default_rng(0)
    array = np.lib.format.open_memmap(path, "w+", np.uint8, (photos, *SIZE, 3))
    for start in range(0, photos, 100):
        array[start : start + 100] = random.integers(0, 256, array[start : start + 100].shape, np.uint8)
    array.flush()


def ours(cache: str) -> float:
    """Peak in MB of a trial's training on a cached array."""
    import pandas as pd

    from benchmarks.training import epochs_of, recipe
    from trial import fit

    pixels = np.load(cache, mmap_mode="r")
    table = pd.DataFrame({"path": "", "label": np.arange(len(pixels)) % FACE_MASK.n_classes})
    config = recipe("lcnet_050", SIZE, BATCH)
    peak = Peak()
    limited = fit.on_device
    fit.on_device = lambda batches, device: islice(limited(batches, device), STEPS)
    next(epochs_of(config, table, pixels))
    return peak.megabytes


def limit(_: str) -> float:
    """Peak in MB of the network alone."""
    from benchmarks import rivals
    from trial.process.compute import decide

    network = rivals.plain_network("lcnet_050", channels_last=True)
    decide(network)
    peak = Peak()
    rivals.steps(network, rivals.random_batches(SIZE, BATCH, STEPS, channels_last=True))
    return peak.megabytes


def measured(way: str, cache: Path) -> float:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.memory", way, str(cache)],
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def rows(quick: bool = False) -> Iterator[Row]:
    out = PROJECT / "out"
    out.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out) as folder:
        for photos in (FEW,) if quick else (FEW, FULL):
            cache = Path(folder, f"{photos}.npy")
            write_noise(cache, photos)
            values: dict[str, list[float]] = {"ours": [], "the network alone": []}
            for _ in range(2 if quick else 3):
                values["ours"].append(measured("ours", cache))
                values["the network alone"].append(measured("limit", cache))
            gib = cache.stat().st_size / 2**30
            what = f"peak memory, {photos} photos of 512x384, {gib:.1f} GiB"
            yield Row(what, "MB", values, "ours", "the network alone")


if __name__ == "__main__":  # one way, in a process of its own
    print(json.dumps({"ours": ours, "limit": limit}[sys.argv[1]](sys.argv[2])))
