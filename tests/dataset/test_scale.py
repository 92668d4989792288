"""What keeps memory small on a million photos, without a million photos: bytes for each one more."""

import hashlib
import json
import tracemalloc
from collections import deque

import numpy as np
import pandas as pd
import pytest

from common.files import file_mark
from dataset import fingerprint, pixels
from dataset.cache.store import identity
from dataset.split import fold_of
from trial.data.batch_sampler import EpochBatchSampler

PHOTOS = 20_000


@pytest.fixture(scope="module")
def table():
    names = pd.Series([f"{row // 7:06d}/mask{row % 7}.jpg" for row in range(PHOTOS)], dtype=str)
    rows = np.arange(PHOTOS)
    paths = "/nowhere/train/images/" + names
    return pd.DataFrame({"path": paths, "group": names.str[:6], "label": rows % 7 // 5 * 6 + rows // 7 % 6})


def bytes_per_photo(run) -> float:
    """At the peak of `run`, of Python's objects and numpy's arrays."""
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1] / PHOTOS
    finally:
        tracemalloc.stop()


def test_a_fingerprint_keeps_no_photo(tmp_path, monkeypatch):
    (tmp_path / "train").mkdir()
    lines = ((f"train/images/{row:06d}.jpg", 800, 10**18 + row) for row in range(PHOTOS))
    monkeypatch.setattr(fingerprint, "_files", lambda *_: lines)
    assert bytes_per_photo(lambda: fingerprint.fingerprint(tmp_path)) < 5


def test_the_check_keeps_no_photo_but_the_damaged(table, monkeypatch):
    def look_at(path):
        return "damaged" if path.endswith("00007/mask0.jpg") else "", False

    monkeypatch.setattr(pixels, "look_at", look_at)
    found = []
    assert bytes_per_photo(lambda: found.extend(pixels.decode_errors(table["path"]))) < 10
    assert found == ["/nowhere/train/images/000007/mask0.jpg: damaged"]


@pytest.mark.slow
def test_the_key_of_the_cache_is_that_of_the_whole_lists_without_having_them(table):
    paths = table["path"].array
    assert bytes_per_photo(lambda: identity(paths, [1])) < 5
    place, names, key = identity(paths, [1, "center"], ["more"])

    def hashed(values):
        return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:16]

    common = "/nowhere/train/images"
    assert place == common
    assert names == hashed([1, "center", common, [path[len(common) :] for path in paths]])
    assert key == hashed([names, [file_mark(path) for path in paths], "more"])


def test_folds_take_a_few_numbers_for_each_photo(table):
    assert bytes_per_photo(lambda: fold_of(table, 5, 0)) < 150


@pytest.mark.parametrize("weights", [None, np.full(PHOTOS, 1 / PHOTOS)])
def test_the_order_of_an_epoch_takes_a_few_numbers_for_each_photo(weights):
    sampler = EpochBatchSampler(PHOTOS, 64, 0, weights)
    assert bytes_per_photo(lambda: deque(sampler, 0)) < 40
