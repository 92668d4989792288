"""The cache with little or no space: limits, full disks, read-only folders."""

import errno
import os
import shutil
import time

import numpy as np
import pytest

from dataset.cache import build
from dataset.cache.arrays import cached

SIZE, NEED = (20, 15), 12 * 20 * 15 * 3


def test_the_least_recently_used_make_room(paths, folder, capsys, arrays, nothing_half_made):
    limit = 3 * NEED + 1000
    sizes = [(20, 15), (15, 20), (10, 30)]  # of as many bytes each
    made = {size: cached(paths, size, "bicubic", folder, limit) for size in sizes}
    kept = made[15, 20].copy()
    for age, size in enumerate([(10, 30), (20, 15), (15, 20)]):
        os.utime(made[size].filename, (age, age))
    cached(paths, (10, 30), "bicubic", folder, limit)  # used just now, so it stays
    capsys.readouterr()
    cached(paths, (30, 20), "bicubic", folder, limit)
    assert arrays(folder) == ["10x30", "30x20"] and nothing_half_made(folder)
    err = capsys.readouterr().err.splitlines()
    assert [line.split(" (")[0] for line in err[:2]] == [
        f"removed {made[size].filename}" for size in ((20, 15), (15, 20))
    ]
    assert np.array_equal(made[15, 20], kept)  # processes that have it mapped keep reading


def test_what_alone_is_over_the_limit_is_left_to_the_workers(paths, folder, capsys, arrays):
    cached(paths, SIZE, "bicubic", folder)
    capsys.readouterr()
    assert cached(paths, (40, 30), "bicubic", folder, 2 * NEED) is None
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1 and "40x30" in err and "allow 1 GiB (cache_limit=1; " in err
    assert arrays(folder) == ["20x15"]


def test_no_limit_no_array_no_word(paths, folder, capsys):
    assert cached(paths, SIZE, "bicubic", folder, limit=0) is None
    assert capsys.readouterr().err == "" and not folder.exists()


def test_a_disk_that_is_too_small_is_reported_before_decoding(paths, disk, capsys, arrays, nothing_half_made):
    folder = disk(64 * 1024) / "cache"
    assert cached(paths, SIZE, "bicubic", folder) is not None
    capsys.readouterr()
    assert cached(paths, (60, 40), "bicubic", folder) is None  # 86400 bytes
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1 and "MiB free: free some space" in err
    assert arrays(folder) == ["20x15"] and nothing_half_made(folder)


def test_arrays_make_room_on_the_disk_too(paths, disk, arrays):
    folder = disk(64 * 1024) / "cache"
    for size in (SIZE, (40, 25), (40, 26)):
        assert cached(paths, size, "bicubic", folder) is not None
    assert arrays(folder) == ["40x26"]


@pytest.mark.parametrize("reserving", [True, False])
def test_a_disk_that_fills_while_building(paths, disk, capsys, monkeypatch, reserving):
    folder = disk(64 * 1024) / "cache"
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(2**40, 0, 2**40))
    if not reserving:  # as on file systems that can't: the writing itself finds out

        def cannot(*given):
            raise OSError(errno.EOPNOTSUPP, "not supported")

        monkeypatch.setattr(os, "posix_fallocate", cannot)
    assert cached(paths, (60, 40), "bicubic", folder) is None
    err = capsys.readouterr().err.splitlines()
    assert len(err) == 2 and f"the disk of {folder} is full: free some space" in err[1]
    assert [path.name for path in folder.iterdir()] == ["builder.lock"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_an_error_while_writing_leaves_nothing(paths, folder, capsys, monkeypatch, number):
    def fails(file, data, at):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "pwrite", fails)
    assert cached(paths, SIZE, "bicubic", folder) is None
    err = capsys.readouterr().err.splitlines()
    assert ("Input/output error" if number == errno.EIO else "is full") in err[1]
    assert [path.name for path in folder.iterdir()] == ["builder.lock"]


def test_no_photo_is_decoded_after_the_disk_is_full(paths, folder, monkeypatch):
    decoded = []
    decode = build.read_to_size

    def slowly(*given):
        time.sleep(0.01)
        decoded.append(given)
        return decode(*given)

    monkeypatch.setattr(build, "read_to_size", slowly)
    monkeypatch.setattr(os, "pwrite", lambda *given: 1)  # a short write
    assert cached(paths * 100, SIZE, "bicubic", folder) is None
    assert len(decoded) < 600


def test_a_read_only_cache_is_read_and_not_added_to(paths, disk, capsys):
    folder = disk("1m") / "cache"
    cached(paths, SIZE, "bicubic", folder)
    disk.lock()
    capsys.readouterr()
    assert cached(paths, SIZE, "bicubic", folder) is not None
    assert cached(paths, (10, 8), "bicubic", folder) is None
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1 and "can't be written to (Read-only file system)" in err


def test_a_cache_that_cannot_be_made_is_reported(paths, tmp_path, capsys):
    (tmp_path / "file").touch()
    assert cached(paths, SIZE, "bicubic", tmp_path / "file" / "cache") is None
    assert "can't be written to (Not a directory)" in capsys.readouterr().err


def test_read_only_photos_will_do(disk, folder, photos_in):
    paths = photos_in(disk("1m") / "photos")
    disk.lock()
    assert cached(paths, SIZE, "bicubic", folder) is not None


def test_what_a_killed_builder_left_makes_room_first(paths, disk):
    folder = disk(64 * 1024) / "cache"
    folder.mkdir()
    (folder / "killed.part").write_bytes(bytes(60 * 1024))
    assert cached(paths, SIZE, "bicubic", folder) is not None
