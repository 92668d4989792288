import os
import shutil

import pytest

from common.errors import UsageError
from dataset.fingerprint import content, fingerprint


def test_the_same_set_says_the_same(data):
    first = fingerprint(data)
    assert len(first) == 64
    assert fingerprint(data) == first == fingerprint(str(data))


def test_a_new_removed_replaced_or_rewritten_file_changes_it(data):
    folder = data / "train" / "images" / "000001_male_Asian_18"
    photo = next(folder.glob("mask1.*"))
    seen = [fingerprint(data)]
    photo.write_bytes(photo.read_bytes()[::-1])  # in place, of the same length: the folder's time stays
    seen.append(fingerprint(data))
    shutil.copy(photo, data / "part")
    os.replace(data / "part", photo)
    seen.append(fingerprint(data))
    photo.rename(photo.with_name("renamed.jpg"))
    seen.append(fingerprint(data))
    (data / "train" / "train.csv").write_text("id,gender,race,age,path\n")
    seen.append(fingerprint(data))
    (data / "eval" / "images" / "new.jpg").write_bytes(b"x")
    seen.append(fingerprint(data))
    shutil.rmtree(data / "eval")
    seen.append(fingerprint(data))
    assert len(set(seen)) == 7


def test_says_the_same_of_a_moved_set_a_link_to_it_and_with_hidden_files(data):
    before = fingerprint(data)
    (data / "train" / "images" / ".DS_Store").write_bytes(b"x")
    moved = data.rename(data.with_name("moved"))
    assert fingerprint(moved) == before
    data.mkdir()
    for half in ("train", "eval"):
        (data / half).symlink_to(moved / half)
    assert fingerprint(data) == before


def test_a_link_that_leads_nowhere_and_an_odd_name_do_no_harm(data):
    before = fingerprint(data)
    (data / "eval" / "images" / "lost.jpg").symlink_to("nowhere.jpg")
    assert fingerprint(data) == before
    (data / "eval" / "images" / os.fsdecode(b"\xff.jpg")).write_bytes(b"x")
    assert fingerprint(data) != before


def test_no_set_no_fingerprint(tmp_path):
    with pytest.raises(UsageError, match="nowhere"):
        fingerprint(tmp_path / "nowhere")


def test_every_format_has_its_own(folders):
    """A photos.csv counts, and the photos that it names; for class folders all halves."""
    before = fingerprint(folders)
    (folders / "notes.txt").write_text("no half")
    assert fingerprint(folders) == before
    (folders / "val" / "dog").mkdir(parents=True)
    (folders / "val" / "dog" / "a.jpg").touch()
    seen = {before, fingerprint(folders)}
    csv = folders / "photos.csv"
    csv.write_text("path,label\n")
    seen.add(fingerprint(folders))
    csv.write_text("path,label\na.jpg,dog\n")
    seen.add(fingerprint(folders))
    (folders / "a.jpg").touch()
    seen.add(fingerprint(folders))
    assert len(seen) == 5


def test_what_a_photos_csv_does_not_name_does_not_count(tmp_path):
    """A run folder inside the set grows, and a run goes on there."""
    for name in ("b/1.jpg", "a.jpg", "b.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    inside, outside = tmp_path / "b" / "1.jpg", "../elsewhere.jpg"
    lines = [
        "path,label",
        f"{inside},dog",
        "./b.jpg,cat",
        "a.jpg,dog",
        "lost.jpg,dog",
        f"{outside},cat",
        "b,cat",
    ]
    (tmp_path / "photos.csv").write_text("\n".join(lines) + "\n")
    before, files = fingerprint(tmp_path), content(tmp_path)["files"]
    assert files == 4
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "epochs.csv").touch()
    (tmp_path / "submission.csv").touch()
    assert (fingerprint(tmp_path), content(tmp_path)["files"]) == (before, files)
    inside.write_bytes(b"x")
    assert fingerprint(tmp_path) != before
