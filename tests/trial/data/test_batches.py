import gc
import time

import numpy as np
import pytest
import torch

from common.errors import UsageError
from dataset.face_masks.labels import FACE_MASK
from dataset.read import read_train
from tests.conftest import TINY
from trial import recipe
from trial.config import parse
from trial.data import batches
from trial.data.batch_sampler import EpochBatchSampler
from trial.process.compute import decide

CONFIG = parse(TINY)


@pytest.fixture(scope="module")
def table(people):
    return read_train(people).table


def test_a_last_batch_of_one_photo_joins_the_one_before():
    sizes = [len(batch) for batch in EpochBatchSampler(65, 32, 0)]
    assert sizes == [32, 33]
    order = [row for batch in EpochBatchSampler(65, 32, 0) for _, row, _ in batch]
    assert sorted(order) == list(range(65))


def test_batches_are_prepared_ahead_of_a_device_that_is_not_the_cpu(table):
    """On the `meta` device, which computes nothing: the same batches in the same order, errors included."""
    preprocessing = recipe.build(CONFIG, FACE_MASK)[1]
    photos = batches.Photos(table, preprocessing)
    plain = [batch.rows for batch in batches.loader(photos, 16)]
    ahead = list(batches.on_device(batches.loader(photos, 16), torch.device("meta")))
    assert [list(batch.rows) for batch in ahead] == [list(rows) for rows in plain]
    assert ahead[0].photos.device.type == "meta"

    def broken():
        yield next(iter(batches.loader(photos, 16)))
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        list(batches.on_device(broken(), torch.device("meta")))


@pytest.mark.parametrize("workers", [0, 1])
def test_a_photo_that_broke_meanwhile_is_named_whoever_reads_it(table, tmp_path, workers):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no photo")
    few = table.head(8).reset_index(drop=True).assign(path=[*table["path"][:5], *[broken] * 3])
    photos = batches.Photos(
        few, recipe.build(CONFIG, FACE_MASK)[1], None, parse({**TINY, "augment": ["InvertImg"]}).augment
    )
    with pytest.raises(UsageError) as error:
        list(batches.on_device(batches.loader(photos, 4, workers), torch.device("cpu")))
    (line,) = error.value.errors
    assert line.startswith(str(broken))
    start = time.monotonic()
    gc.collect()  # takes as long on a busy machine
    collected = time.monotonic()
    del error
    gc.collect()
    waited = time.monotonic() - collected - (collected - start)
    assert waited < 3, "a loader that a cycle of references holds waits for its processes"


def device_pixels(table, preprocessing):
    """(The photos decoded once, the same in memory that was asked for on the device, here the CPU)."""
    plain = batches.uncached(table, preprocessing)
    decoded = np.stack([plain.read(row) for row in range(len(table))])
    network, _ = recipe.build(CONFIG, FACE_MASK)
    room = decide(network, "cpu", threads=1).room_for("device", decoded.shape)
    assert room is not None
    return decoded, batches.moved(decoded, room)


@pytest.mark.slow
def test_batches_that_are_gathered_on_the_device_are_the_same(table, monkeypatch):
    monkeypatch.setattr(batches, "MOVED_AT_ONCE", 7)
    preprocessing = recipe.build(CONFIG, FACE_MASK)[1]
    decoded, moved = device_pixels(table, preprocessing)
    part = table.iloc[5::2]  # rows are those of the whole table
    weights = np.linspace(1, 3, len(part))

    def all_of(pixels):
        photos = batches.Photos(part, preprocessing, pixels, parse({**TINY, "augment": "light"}).augment)
        drawn = batches.loader(photos, 16, shuffle=True, probabilities=weights / weights.sum())
        return [batch for _ in range(2) for batch in batches.on_device(drawn, torch.device("cpu"))]

    before = moved.clone()
    here, there = all_of(decoded), all_of(moved)
    assert len(here) == len(there) > 2
    for one, other in zip(here, there, strict=True):
        assert torch.equal(one.photos, other.photos)
        assert one.photos.stride() == other.photos.stride()
        assert torch.equal(one.labels, other.labels)
        assert list(one.rows) == list(other.rows)
        assert one.epoch == other.epoch
    there[0].photos.zero_()  # a batch is a copy
    assert torch.equal(moved, before)


def test_photos_that_are_not_cached_are_decoded_onto_the_device(table):
    preprocessing = recipe.build(CONFIG, FACE_MASK)[1]
    decoded, moved = device_pixels(table, preprocessing)
    room = torch.empty_like(moved)
    assert batches.moved(batches.uncached(table, preprocessing), room) is room
    assert np.array_equal(room.numpy(), decoded)


def test_a_batch_on_a_gpu_is_not_pinned(table, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    preprocessing = recipe.build(CONFIG, FACE_MASK)[1]
    decoded, moved = device_pixels(table, preprocessing)
    assert batches.loader(batches.Photos(table, preprocessing, decoded), 16).pin_memory
    assert not batches.loader(batches.Photos(table, preprocessing, moved), 16).pin_memory
