import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from common.errors import UsageError
from common.machine import cores
from dataset.boxes import Crop, center
from dataset.cache import build
from dataset.cache.arrays import Uncached, cached
from dataset.cache.store import entries
from dataset.pixels import decode_errors, read_to_size

SIZE = (20, 15)


def test_the_cache_holds_what_decoding_gives_and_is_read_only(paths, folder):
    for size in (SIZE, (50, 40)):
        array = cached(paths, size, "bicubic", folder)
        assert array.shape == (12, *size, 3) and isinstance(array, np.memmap)
        for row, path in enumerate(paths):
            assert np.array_equal(array[row], read_to_size(path, size, "bicubic")[0])
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_decoded_once(paths, folder, capsys, monkeypatch):
    first = cached(paths, SIZE, "bicubic", folder)
    assert capsys.readouterr().err == f"decoding 12 photos to 20x15 once, into {folder} (0.0 MiB)\n"
    monkeypatch.delattr(build, "read_to_size")  # decoding again would fail
    assert np.array_equal(cached(paths, SIZE, "bicubic", folder), first)
    assert capsys.readouterr().err == ""


def test_another_size_order_or_choice_of_photos_is_another_array(paths, folder, arrays):
    for some, size in (
        (paths, SIZE),
        (paths, (10, 8)),
        (paths[::-1], SIZE),
        (paths[:5], SIZE),
        (paths, SIZE),
    ):
        array = cached(some, size, "bicubic", folder)
        assert len(array) == len(some) and np.array_equal(array[1], Uncached(some, size, "bicubic").read(1))
    assert arrays(folder) == ["10x8", "20x15", "20x15", "20x15"]


def test_interpolation_tells_arrays_apart_only_where_it_had_a_part(paths, folder, arrays):
    for interpolation in ("bicubic", "bilinear"):
        cached(paths, SIZE, interpolation, folder)
    assert arrays(folder) == ["20x15"]
    enlarged = [cached(paths, (50, 40), how, folder) for how in ("bicubic", "bilinear", "bicubic")]
    assert arrays(folder) == ["20x15", "50x40", "50x40"]
    assert not np.array_equal(enlarged[0], enlarged[1]) and np.array_equal(enlarged[0], enlarged[2])


def test_a_crop_is_cut_out_first_and_is_an_array_of_its_own(paths, folder, arrays, capsys):
    boxes = np.random.default_rng(0).uniform([0, 0, 0.5, 0.5], [0.4, 0.4, 1, 1], (12, 4))
    crops = [None, center(12, 0.5, 0.5), Crop("face", boxes), Crop("face 2", boxes)]
    for crop in (*crops, *crops):
        array = cached(paths, SIZE, "bicubic", folder, crop=crop)
        assert np.array_equal(array[3], Uncached(paths, SIZE, "bicubic", crop).read(3))
    err = capsys.readouterr().err
    assert err.count("decoding 12 photos to 20x15") == 4 and "to 20x15 (center 0.5x0.5) once" in err
    assert len(arrays(folder)) == 4 and "changed" not in err
    assert {entry.info.crop for entry in entries(folder)} == {"none", "center 0.5x0.5", "face", "face 2"}
    assert not np.array_equal(array[3], cached(paths, SIZE, "bicubic", folder)[3])


def test_other_boxes_of_the_same_crop_replace_the_array(paths, folder, arrays):
    for side in (0.5, 0.6):
        array = cached(paths, SIZE, "bicubic", folder, crop=Crop("face", center(12, side, side).boxes))
        assert np.array_equal(array[0], Uncached(paths, SIZE, "bicubic", center(12, side, side)).read(0))
    assert arrays(folder) == ["20x15"]


def test_folders_with_the_same_names_inside_are_distinguished_and_links_are_not(
    paths, folder, tmp_path, arrays
):
    other = tmp_path / "other"
    shutil.copytree(Path(paths[0]).parent, other)
    (tmp_path / "link").symlink_to(other)
    for place in (Path(paths[0]).parent, other, tmp_path / "link"):
        cached([str(place / Path(path).name) for path in paths], SIZE, "bicubic", folder)
    assert arrays(folder) == ["20x15", "20x15"]


def test_changed_photos_are_decoded_again_and_it_is_logged(paths, folder, capsys, arrays, nothing_half_made):
    cached(paths, SIZE, "bicubic", folder)
    cached(paths, (10, 8), "bicubic", folder)
    shutil.copy(paths[0], paths[1])
    capsys.readouterr()
    array = cached(paths, SIZE, "bilinear", folder)
    assert np.array_equal(array[0], array[1])
    lines = capsys.readouterr().err.splitlines()
    changed = f"photos in {Path(paths[0]).parent} changed since they were decoded; they are decoded again"
    assert lines[0] == changed
    assert lines[1].startswith("decoding 12 photos to 20x15 once") and len(lines) == 2
    assert arrays(folder) == ["10x8", "20x15"] and nothing_half_made(folder)


def test_a_photo_of_another_time_or_size_has_changed(paths, folder, capsys):
    cached(paths, SIZE, "bicubic", folder)
    written = os.stat(paths[1]).st_mtime_ns
    for more, later in ((b"x", 0), (b"", 1)):
        with open(paths[1], "ab") as photo:
            photo.write(more)
        os.utime(paths[1], ns=(0, written + later))
        cached(paths, SIZE, "bicubic", folder)
        assert "changed since they were decoded" in capsys.readouterr().err


def test_sets_that_share_photos_share_the_array(paths, folder, capsys):
    """Linked photos with another train.csv: neither data set removes the arrays of the other."""
    first = cached(paths, SIZE, "bicubic", folder)
    some = cached(paths[:5], SIZE, "bicubic", folder)
    capsys.readouterr()
    for photos, array in ((paths, first), (paths[:5], some), (paths, first)):
        assert cached(photos, SIZE, "bicubic", folder).filename == array.filename
    assert capsys.readouterr().err == ""


def test_arrays_whose_photos_are_gone_are_removed_when_another_is_built(
    paths, folder, tmp_path, photos_in, capsys, arrays, nothing_half_made
):
    gone = cached(photos_in(tmp_path / "temporary"), (10, 8), "bicubic", folder).filename
    cached(paths, SIZE, "bicubic", folder)
    assert arrays(folder) == ["10x8", "20x15"]
    shutil.rmtree(tmp_path / "temporary")
    capsys.readouterr()
    cached(paths, (30, 20), "bicubic", folder)
    assert arrays(folder) == ["20x15", "30x20"] and nothing_half_made(folder)
    err = capsys.readouterr().err.splitlines()
    assert err[0] == f"removed {gone}: its photos in {tmp_path / 'temporary'} are gone" and len(err) == 2


def test_a_damaged_array_is_built_again(paths, folder):
    whole = cached(paths, SIZE, "bicubic", folder)
    path = next(folder.glob("*.npy"))
    for damaged in (b"", b"no array", path.read_bytes()[:500]):
        path.unlink()
        path.write_bytes(damaged)
        assert np.array_equal(cached(paths, SIZE, "bicubic", folder), whole)


def test_every_file_that_is_not_an_image_is_named_and_nothing_half_made_is_left(paths, folder):
    for path in paths[2:4]:
        Path(path).write_text("no photo")
    Path(paths[4]).unlink()
    with pytest.raises(UsageError) as caught:
        cached(paths, SIZE, "bicubic", folder)
    assert [error.partition(":")[0] for error in caught.value.errors] == paths[2:5]
    assert [path.name for path in folder.iterdir()] == ["builder.lock"]


def test_finding_an_array_asks_once_for_each_photo(paths, folder, monkeypatch):
    """Every trial does this at its start."""
    asked = []
    for name in ("stat", "lstat", "open", "scandir", "readlink"):

        def ask(*given, call=getattr(os, name), **more):
            asked.append(given)
            return call(*given, **more)

        monkeypatch.setattr(os, name, ask)
    counts = []
    for some in (paths[:3], paths):
        cached(some, SIZE, "bicubic", folder)
        asked.clear()
        cached(some, SIZE, "bicubic", folder)
        counts.append(len(asked))
    assert counts[1] - counts[0] == len(paths) - 3


def test_photos_are_decoded_where_python_lacks_what_only_linux_has(paths, folder, monkeypatch):
    for name in ("sched_getaffinity", "posix_fallocate"):
        monkeypatch.delattr(os, name, raising=False)
    assert cores() == os.cpu_count()
    assert cached(paths, (20, 15), "bicubic", folder) is not None
    assert decode_errors(paths) == []
