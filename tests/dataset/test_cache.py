import errno
import os
import shutil
import subprocess
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from dataset import builder, cache
from dataset.cache import cached, read_resized
from dataset.errors import CallersMistake

SIZE, NEED = (20, 15), 12 * 20 * 15 * 3


@pytest.fixture
def paths(tmp_path):
    return photos_in(tmp_path / "photos")


def photos_in(folder):
    """Twelve photos of 40x30."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    found = []
    for number in range(12):
        path = folder / f"{number}.png"
        cv2.imwrite(str(path), rng.integers(0, 256, (40, 30, 3), dtype=np.uint8))
        found.append(str(path))
    return found


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def disk(tmp_path):
    """disk(size): a folder on a disk of its own, of so many bytes; disk.lock(): read-only from now on."""
    place = tmp_path / "disk"
    place.mkdir()

    def mount(options):
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], capture_output=True)
        if done.returncode:
            pytest.skip(f"no disk can be mounted here: {done.stderr.decode().strip()}")
        return place

    def make(size):
        return mount(f"size={size}")

    make.lock = lambda: mount("remount,ro")
    yield make
    subprocess.run(["umount", place], capture_output=True)


def arrays(folder):
    return sorted(path.name.split("-")[1] for path in folder.glob("*.npy"))


def nothing_half_made(folder):
    left = {path.suffix for path in folder.iterdir() if path.name != "builder.lock"}
    return left <= {".npy", ".json"} and len(list(folder.glob("*.npy"))) == len(list(folder.glob("*.json")))


def test_the_cache_holds_what_decoding_gives_and_is_read_only(paths, folder):
    for size in (SIZE, (50, 40)):
        array = cached(paths, size, "bicubic", "mark", folder)
        assert array.shape == (12, *size, 3) and isinstance(array, np.memmap)
        for row, path in enumerate(paths):
            assert np.array_equal(array[row], read_resized(path, size, "bicubic"))
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_decoded_once(paths, folder, capsys):
    first = cached(paths, SIZE, "bicubic", "mark", folder)
    assert capsys.readouterr().err == f"decoding 12 photos to 20x15 once, into {folder} (0.0 MiB)\n"
    for path in paths:
        os.truncate(path, 0)  # whoever decodes again fails
    assert np.array_equal(cached(paths, SIZE, "bicubic", "mark", folder), first)
    assert capsys.readouterr().err == ""


def test_another_size_order_or_choice_of_photos_is_another_array(paths, folder):
    for some, size in (
        (paths, SIZE),
        (paths, (10, 8)),
        (paths[::-1], SIZE),
        (paths[:5], SIZE),
        (paths, SIZE),
    ):
        array = cached(some, size, "bicubic", "mark", folder)
        assert len(array) == len(some) and np.array_equal(array[1], read_resized(some[1], size, "bicubic"))
    assert arrays(folder) == ["10x8", "20x15", "20x15", "20x15"]


def test_interpolation_tells_arrays_apart_only_where_it_had_a_part(paths, folder):
    for interpolation in ("bicubic", "bilinear"):
        cached(paths, SIZE, interpolation, "mark", folder)
    assert arrays(folder) == ["20x15"]
    enlarged = [cached(paths, (50, 40), how, "mark", folder) for how in ("bicubic", "bilinear", "bicubic")]
    assert arrays(folder) == ["20x15", "50x40", "50x40"]
    assert not np.array_equal(enlarged[0], enlarged[1]) and np.array_equal(enlarged[0], enlarged[2])


def test_folders_with_the_same_names_inside_are_told_apart_and_links_are_not(paths, folder, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(Path(paths[0]).parent, other)
    (tmp_path / "link").symlink_to(other)
    for place in (Path(paths[0]).parent, other, tmp_path / "link"):
        cached([str(place / Path(path).name) for path in paths], SIZE, "bicubic", "mark", folder)
    assert arrays(folder) == ["20x15", "20x15"]


def test_changed_photos_are_decoded_anew_and_it_is_said(paths, folder, capsys):
    cached(paths, SIZE, "bicubic", "before", folder)
    cached(paths, (10, 8), "bicubic", "before", folder)
    shutil.copy(paths[0], paths[1])
    capsys.readouterr()
    array = cached(paths, SIZE, "bilinear", "after", folder)
    assert np.array_equal(array[0], array[1])
    said = capsys.readouterr().err.splitlines()
    assert (
        said[0] == f"photos in {Path(paths[0]).parent} changed since they were decoded; they are decoded anew"
    )
    assert said[1].startswith("decoding 12 photos to 20x15 once") and len(said) == 2
    assert arrays(folder) == ["10x8", "20x15"] and nothing_half_made(folder)


def test_a_damaged_array_is_built_anew(paths, folder):
    whole = cached(paths, SIZE, "bicubic", "mark", folder)
    path = next(folder.glob("*.npy"))
    for damaged in (b"", b"no array", path.read_bytes()[:500]):
        path.unlink()
        path.write_bytes(damaged)
        assert np.array_equal(cached(paths, SIZE, "bicubic", "mark", folder), whole)


def test_every_file_that_is_no_photo_is_named_and_nothing_half_made_is_left(paths, folder):
    for path in paths[2:4]:
        Path(path).write_text("no photo")
    with pytest.raises(CallersMistake) as caught:
        cached(paths, SIZE, "bicubic", "mark", folder)
    assert [fault.partition(":")[0] for fault in caught.value.faults] == paths[2:4]
    assert [path.name for path in folder.iterdir()] == ["builder.lock"]


def test_the_least_recently_used_make_room(paths, folder, capsys):
    limit = 3 * NEED + 1000
    sizes = [(20, 15), (15, 20), (10, 30)]  # of as many bytes each
    there = {size: cached(paths, size, "bicubic", "mark", folder, limit) for size in sizes}
    kept = there[15, 20].copy()
    for age, size in enumerate([(10, 30), (20, 15), (15, 20)]):
        os.utime(there[size].filename, (age, age))
    cached(paths, (10, 30), "bicubic", "mark", folder, limit)  # used just now, so it stays
    capsys.readouterr()
    cached(paths, (30, 20), "bicubic", "mark", folder, limit)
    assert arrays(folder) == ["10x30", "30x20"] and nothing_half_made(folder)
    said = capsys.readouterr().err.splitlines()
    assert [line.split(" (")[0] for line in said[:2]] == [
        f"removed {there[size].filename}" for size in ((20, 15), (15, 20))
    ]
    assert np.array_equal(there[15, 20], kept)  # whoever has it mapped goes on reading


def test_what_alone_is_over_the_limit_is_left_to_the_workers(paths, folder, capsys):
    cached(paths, SIZE, "bicubic", "mark", folder)
    capsys.readouterr()
    assert cached(paths, (40, 30), "bicubic", "mark", folder, 2 * NEED) is None
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1 and "40x30" in said and "cache_limit=1 (GiB)" in said
    assert arrays(folder) == ["20x15"]


def test_no_limit_no_array_no_word(paths, folder, capsys):
    assert cached(paths, SIZE, "bicubic", "mark", folder, limit=0) is None
    assert capsys.readouterr().err == "" and not folder.exists()


def test_a_disk_that_is_too_small_is_said_beforehand(paths, disk, capsys):
    folder = disk(64 * 1024) / "cache"
    assert cached(paths, SIZE, "bicubic", "mark", folder) is not None
    capsys.readouterr()
    assert cached(paths, (60, 40), "bicubic", "mark", folder) is None  # 86400 bytes
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1 and "MiB free: free some space" in said
    assert arrays(folder) == ["20x15"] and nothing_half_made(folder)


def test_arrays_make_room_on_the_disk_too(paths, disk):
    folder = disk(64 * 1024) / "cache"
    for size in (SIZE, (40, 25), (40, 26)):
        assert cached(paths, size, "bicubic", "mark", folder) is not None
    assert arrays(folder) == ["40x26"]


@pytest.mark.parametrize("reserving", [True, False])
def test_a_disk_that_fills_while_building(paths, disk, capsys, monkeypatch, reserving):
    folder = disk(64 * 1024) / "cache"
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(2**40, 0, 2**40))
    if not reserving:  # as on file systems that can't: the writing itself finds out

        def cannot(*given):
            raise OSError(errno.EOPNOTSUPP, "not supported")

        monkeypatch.setattr(os, "posix_fallocate", cannot)
    assert cached(paths, (60, 40), "bicubic", "mark", folder) is None
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2 and f"the disk of {folder} is full: free some space" in said[1]
    assert [path.name for path in folder.iterdir()] == ["builder.lock"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_an_error_while_writing_leaves_nothing(paths, folder, capsys, monkeypatch, number):
    def fails(file, data, at):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "pwrite", fails)
    assert cached(paths, SIZE, "bicubic", "mark", folder) is None
    said = capsys.readouterr().err.splitlines()
    assert ("Input/output error" if number == errno.EIO else "is full") in said[1]
    assert [path.name for path in folder.iterdir()] == ["builder.lock"]


def test_no_photo_is_decoded_after_the_disk_is_full(paths, folder, monkeypatch):
    decoded = []
    decode = builder.read_to_size
    monkeypatch.setattr(builder, "read_to_size", lambda *given: decoded.append(1) or decode(*given))
    monkeypatch.setattr(os, "pwrite", lambda *given: 1)  # a short write
    assert cached(paths * 100, SIZE, "bicubic", "mark", folder) is None
    assert len(decoded) < 600


def test_a_read_only_cache_is_read_and_not_added_to(paths, disk, capsys):
    folder = disk("1m") / "cache"
    cached(paths, SIZE, "bicubic", "mark", folder)
    disk.lock()
    capsys.readouterr()
    assert cached(paths, SIZE, "bicubic", "mark", folder) is not None
    assert cached(paths, (10, 8), "bicubic", "mark", folder) is None
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1 and "can't be written to (Read-only file system)" in said


def test_a_cache_that_cannot_be_made_is_said(paths, tmp_path, capsys):
    (tmp_path / "file").touch()
    assert cached(paths, SIZE, "bicubic", "mark", tmp_path / "file" / "cache") is None
    assert "can't be written to (Not a directory)" in capsys.readouterr().err


def test_read_only_photos_will_do(disk, folder):
    paths = photos_in(disk("1m") / "photos")
    disk.lock()
    assert cached(paths, SIZE, "bicubic", "mark", folder) is not None


def test_finding_an_array_takes_no_time(folder, tmp_path):
    """18,900 photos: what every trial pays at its start."""
    (path,) = photos_in(tmp_path / "few")[:1]
    paths = [str(tmp_path / f"few/../few/{number:06d}/../" / Path(path).name) for number in range(18900)]
    started = time.perf_counter()
    cache._wanted(paths, SIZE, "bicubic", "mark")
    assert time.perf_counter() - started < 0.5
