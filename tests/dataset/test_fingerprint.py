import os
import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest

from dataset import fingerprint as module
from dataset.errors import CallersMistake
from dataset.fingerprint import fingerprint


@pytest.fixture
def memory(tmp_path):
    return tmp_path / "cache" / "fingerprints.json"


@pytest.fixture
def counted(monkeypatch):
    """How often the files of a set were gone through."""
    calls = []
    every_file = module._every_file
    monkeypatch.setattr(module, "_every_file", lambda data: calls.append(data) or every_file(data))
    return calls


def test_computed_once_a_set(data, memory, counted):
    first = fingerprint(data, remembered=memory)
    assert len(first) == 64
    assert all(fingerprint(data, remembered=memory) == first for _ in range(3))
    assert len(counted) == 1
    assert fingerprint(data, recompute=True, remembered=memory) == first
    assert len(counted) == 2


def test_a_new_removed_or_replaced_file_changes_it(data, memory):
    folder = data / "train" / "images" / "000001_male_Asian_18"
    photo = next(folder.glob("mask1.*"))
    seen = [fingerprint(data, remembered=memory)]
    shutil.copy(photo, data / "part")
    os.replace(data / "part", photo)
    seen.append(fingerprint(data, remembered=memory))
    photo.unlink()
    seen.append(fingerprint(data, remembered=memory))
    (data / "train" / "train.csv").write_text("id,gender,race,age,path\n")
    seen.append(fingerprint(data, remembered=memory))
    (data / "eval" / "images" / "new.jpg").write_bytes(b"x")
    seen.append(fingerprint(data, remembered=memory))
    assert len(set(seen)) == 5


def test_a_photo_rewritten_in_place_is_seen_on_recompute(data, memory):
    before = fingerprint(data, remembered=memory)
    photo = next((data / "train" / "images" / "000001_male_Asian_18").glob("mask1.*"))
    photo.write_bytes(photo.read_bytes() + b"more")
    after = fingerprint(data, recompute=True, remembered=memory)
    assert after != before
    assert fingerprint(data, remembered=memory) == after


def test_says_the_same_of_a_moved_set_and_of_hidden_files(data, memory):
    before = fingerprint(data, remembered=memory)
    (data / "train" / "images" / ".DS_Store").write_bytes(b"x")
    moved = data.rename(data.with_name("moved"))
    assert fingerprint(moved, remembered=memory) == before


def test_damaged_or_unwritable_memory_does_no_harm(data, memory):
    memory.parent.mkdir()
    memory.write_text("{ not json")
    first = fingerprint(data, remembered=memory)
    assert fingerprint(data, remembered=memory) == first
    assert fingerprint(data, remembered=data / "train" / "train.csv" / "x.json") == first


def test_many_at_once_agree(data, memory):
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: fingerprint(data, recompute=True, remembered=memory), range(32)))
    assert len(set(found)) == 1
    assert [path.name for path in memory.parent.iterdir()] == [memory.name]


def test_no_set_no_fingerprint(tmp_path):
    with pytest.raises(CallersMistake, match="nowhere"):
        fingerprint(tmp_path / "nowhere")
