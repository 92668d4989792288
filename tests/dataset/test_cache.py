import multiprocessing

import cv2
import numpy as np
import pytest

from dataset import cache
from dataset.cache import cached, read_resized
from dataset.errors import CallersMistake


@pytest.fixture
def paths(tmp_path):
    rng = np.random.default_rng(0)
    folder = tmp_path / "photos"
    folder.mkdir()
    found = []
    for number in range(12):
        path = folder / f"{number}.png"
        cv2.imwrite(str(path), rng.integers(0, 256, (40, 30, 3), dtype=np.uint8))
        found.append(str(path))
    return found


def test_the_cache_holds_what_decoding_gives_and_is_read_only(paths, tmp_path):
    array = cached(paths, (20, 15), "bicubic", "mark", tmp_path / "cache")
    assert array.shape == (12, 20, 15, 3)
    for row, path in enumerate(paths):
        assert np.array_equal(array[row], read_resized(path, (20, 15), "bicubic"))
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 0


def test_another_set_size_or_interpolation_is_another_cache(paths, tmp_path):
    folder = tmp_path / "cache"
    for mark, size, interpolation in (
        ("a", (20, 15), "bicubic"), ("b", (20, 15), "bicubic"), ("a", (50, 40), "bicubic"),
        ("a", (50, 40), "bilinear"), ("a", (20, 15), "bicubic"),
    ):  # fmt: skip
        cached(paths, size, interpolation, mark, folder)
    assert len(list(folder.glob("*.npy"))) == 4


def test_every_file_that_is_no_photo_is_named_and_nothing_half_made_is_left(paths, tmp_path):
    for path in paths[2:4]:
        with open(path, "w") as file:
            file.write("no photo")
    with pytest.raises(CallersMistake) as caught:
        cached(paths, (20, 15), "bicubic", "mark", tmp_path / "cache")
    assert [fault.partition(":")[0] for fault in caught.value.faults] == paths[2:4]
    assert not [*(tmp_path / "cache").glob("*.npy"), *(tmp_path / "cache").glob("*.part")]


def test_a_set_over_the_limit_is_left_to_the_workers(paths, tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "LIMIT", 1000)
    assert cached(paths, (20, 15), "bicubic", "mark", tmp_path / "cache") is None


def build(paths, folder, queue):
    queue.put(int(cached(paths, (20, 15), "bicubic", "mark", folder).sum()))


def test_two_builders_at_once_get_the_same(paths, tmp_path):
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    both = [context.Process(target=build, args=(paths, tmp_path / "cache", queue)) for _ in range(2)]
    for process in both:
        process.start()
    assert queue.get(timeout=60) == queue.get(timeout=60)
    for process in both:
        process.join()
    assert len(list((tmp_path / "cache").glob("*.npy"))) == 1
