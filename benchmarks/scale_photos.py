"""CPU time and memory of what is done with every photo of a data set, as the set grows.

    python -m benchmarks.scale_photos [10000 100000 1000000]

The set is drawn: 7 photos of 32x24 pixels a person, in the competition's layout, some thousand different
JPEGs under as many names as are asked for (a million files take 5 GB of the temporary folder, TMPDIR). Each
part runs in a process of its own. The rival does what can't be left out: reading each file; the same network
on random tensors. Memory is the peak of anonymous and shared pages of the process and its children: mapped
files, such as decoded photos, are the system's to drop. What a part took is said on stderr at once; its row
follows when its rival is measured, after all parts: a run that is stopped has lost little. The last rows of a
part say what each photo costs: CPU time against that at the size before, memory against the bound that is
promised.
"""

import csv
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.measure import HEADER, Row
from common.machine import PROJECT

SIZES, QUICK = (10_000, 100_000), (700, 1_400)
HEIGHT, WIDTH, DIFFERENT = 32, 24, 2_000
MODEL, BATCH = "test_resnet.r160_in1k", 256
BOUNDS = {"fingerprint": 20, "table": 600, "check": 600, "cache": 600, "trial": 1_000}  # bytes per photo
RIVALS = {"fingerprint": "stat", "table": "stat", "check": "read", "cache": "decode", "trial": "network"}


class DrawnPhotos:
    """A data set that grows: `grow(n)` adds people until there are at least `n` photos."""

    def __init__(self, folder: Path):
        self.folder, self.people = folder, list[tuple[str, str, int, str]]()
        self._random = np.random.default_rng(0)
        self._photos = [self._draw() for _ in range(DIFFERENT)]

    def _draw(self) -> bytes:
        import cv2
        import simplejpeg

        coarse = self._random.integers(0, 256, (4, 3, 3), np.uint8)
        return simplejpeg.encode_jpeg(cv2.resize(coarse, (WIDTH, HEIGHT)), colorspace="RGB")

    def grow(self, photos: int) -> int:
        from dataset.face_masks.labels import GENDERS, PHOTO_MASKS

        names = [f"{name}.jpg" for name in PHOTO_MASKS]
        images = self.folder / "train" / "images"
        for number in range(len(self.people), -(-photos // len(names))):
            gender, age = GENDERS[number % 2], int(self._random.integers(18, 70))
            person = f"{number:06d}_{gender}_Asian_{age}"
            self.people.append((f"{number:06d}", gender, age, person))
            (images / person).mkdir(parents=True)
            for name, which in zip(names, self._random.integers(0, DIFFERENT, len(names)), strict=True):
                with open(f"{images}/{person}/{name}", "wb") as file:
                    file.write(self._photos[which])
        with (self.folder / "train" / "train.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["id", "gender", "race", "age", "path"])
            writer.writerows((name, gender, "Asian", age, path) for name, gender, age, path in self.people)
        return len(self.people) * len(names)


# What is measured: each returns {row of the table: seconds}.


def fingerprint(data: Path, out: Path) -> dict[str, float]:
    from dataset.fingerprint import fingerprint

    return {"fingerprint": seconds(lambda: fingerprint(data))}


def table(data: Path, out: Path) -> dict[str, float]:
    from dataset.read import read_train
    from dataset.split import split

    read: list[pd.DataFrame] = []
    took = seconds(lambda: read.append(read_train(data).table))
    return {"table": took, "split": seconds(lambda: split(read[0], 0, 5, 0))}


def check(data: Path, out: Path) -> dict[str, float]:
    from dataset.check import check, summary

    return {"check": seconds(lambda: summary(data, check(data, with_eval=False), 5, 0))}


def cache(data: Path, out: Path) -> dict[str, float]:
    from dataset.cache.arrays import cached
    from dataset.read import read_train

    paths = read_train(data).table["path"].array
    return {"cache": seconds(lambda: cached(paths, (HEIGHT, WIDTH), "bicubic", out / "cache"))}


def trial(data: Path, out: Path) -> dict[str, float]:
    """From its start, with the cache that the part before built, through an epoch to the end."""
    from dataset.cache import arrays
    from trial.config import parse
    from trial.run import run
    from trial.run_folder.record import RunWriter

    arrays.CACHE = out / "cache"
    config = parse(
        {"data": str(data), "model": MODEL, "weights": "none", "image_size": f"{HEIGHT}x{WIDTH}", "epochs": 1,
         "batch_size": BATCH, "augment": "none"}
    )  # fmt: skip
    writer = RunWriter(out / "runs" / str(time.time_ns()), config)
    took = seconds(lambda: run(config, writer, lambda report: None))
    writer.end("done")
    return {"trial": took}


def stat(data: Path, out: Path) -> dict[str, float]:
    return {"os.walk and stat": seconds(lambda: deque(map(os.stat, _files(data)), 0))}


def read(data: Path, out: Path) -> dict[str, float]:
    return {"reading each file": seconds(lambda: deque(map(_content, _files(data)), 0))}


def decode(data: Path, out: Path) -> dict[str, float]:
    """With one thread; into one photo's memory."""
    import simplejpeg

    def each() -> None:
        for path in _files(data):
            if path.endswith(".jpg"):
                simplejpeg.decode_jpeg(_content(path), "RGB")

    return {"simplejpeg, one thread": seconds(each)}


def network(data: Path, out: Path) -> dict[str, float]:
    """Four of five photos are trained on, the others predicted."""
    import torch

    from benchmarks import rivals
    from trial.process.compute import decide

    photos = sum(len(names) for *_, names in os.walk(data / "train" / "images"))
    plain = rivals.plain_network(MODEL, channels_last=True)
    decide(plain)
    batches = rivals.random_batches((HEIGHT, WIDTH), BATCH, photos * 4 // 5 // BATCH, channels_last=True)

    def epoch() -> None:
        rivals.steps(plain, batches)
        with torch.inference_mode():
            plain.eval()
            for images, _ in batches[: len(batches) // 4]:
                plain(images)

    return {"network on random tensors": seconds(epoch)}


PARTS: dict[str, Callable[[Path, Path], dict[str, float]]] = {
    part.__name__: part for part in (fingerprint, table, check, cache, trial, stat, read, decode, network)
}


def _files(data: Path) -> Iterator[str]:
    for folder, _, names in os.walk(data):
        for name in names:
            yield f"{folder}/{name}"


def _content(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def seconds(run: Callable[[], object]) -> float:
    """CPU time, of all threads: a busy machine changes it least."""
    started = time.process_time()
    run()
    return time.process_time() - started


# Measured from outside


def measured(part: str, data: Path, out: Path) -> tuple[dict[str, float], float]:
    """({row: seconds}, peak MB) of a part in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.scale_photos", part, str(data), str(out)]
    process = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True)
    peak = 0.0
    while process.poll() is None:
        peak = max(peak, sum(map(_memory, _tree(process.pid))))
        time.sleep(0.1)
    assert process.stdout
    answer = process.stdout.read()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
    return json.loads(answer.splitlines()[-1]), peak


def _tree(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [pid, *(one for child in children for one in _tree(int(child)))]


def _memory(pid: int) -> float:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    return sum(int(kilobytes) for kilobytes in re.findall(r"Rss(?:Anon|Shmem):\s+(\d+)", status)) / 1024


def rows(quick: bool = False, sizes: Iterable[int] = ()) -> Iterator[Row]:
    """Each part at each size against its rival; then what each photo more costs."""
    found: dict[tuple[str, int], tuple[dict[str, float], float]] = {}
    counts: list[int] = []
    with tempfile.TemporaryDirectory() as temporary:
        drawn, out = DrawnPhotos(Path(temporary) / "data"), Path(temporary)
        for wanted in sizes or (QUICK if quick else SIZES):
            counts.append(size := drawn.grow(wanted))
            os.sync()  # writing it to the disk would slow the first part
            for part in RIVALS:
                times, peak = found[part, size] = measured(part, drawn.folder, out)
                took = ", ".join(f"{what} {value:.4g} s" for what, value in times.items())
                print(f"{size:,} photos: {took}, {peak:.4g} MB", file=sys.stderr, flush=True)
            for part, rival in RIVALS.items():
                if (rival, size) not in found:
                    found[rival, size] = measured(rival, drawn.folder, out)
                (its, least), *_ = found[rival, size][0].items()
                times, peak = found[part, size]
                for what, value in times.items():
                    yield Row(f"{what}, {size:,} photos", "s", {"ours": [value], its: [least]}, "ours", its)
                peaks = {"ours": [peak], its: [found[rival, size][1]]}
                yield Row(f"{part}, {size:,} photos", "MB", peaks, *peaks)
    for part, bound in BOUNDS.items():
        for less, more in pairwise(counts):
            (fewer, low), (many, high) = found[part, less], found[part, more]
            for what in many:
                each = {f"at {n:,}": [1e6 * t[what] / n] for n, t in ((more, many), (less, fewer))}
                yield Row(f"{what}, per photo at {more:,}", "us", each, *each)
            grown = {"ours": [2**20 * (high - low) / (more - less)], "bound": [float(bound)]}
            yield Row(f"{part}, per photo from {less:,} to {more:,}", "bytes", grown, *grown)


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in PARTS:  # one part, in a process of its own
        part, data, out = sys.argv[1:]
        print(json.dumps(PARTS[part](Path(data), Path(out))))
    else:
        print(HEADER)
        for row in rows(sizes=list(map(int, sys.argv[1:]))):
            print(row, flush=True)
