"""Special files with a photo's name are errors for every reader of a data set, and are never opened."""

import os
import shutil
import socket
from pathlib import Path

import numpy as np
import pytest

from common.errors import UsageError
from dataset import photo_file
from dataset.cache import arrays
from dataset.check import check
from dataset.faces import locate
from dataset.fingerprint import fingerprint
from dataset.pixels import decode_errors, read_photo
from dataset.read import read_eval, read_train, scan_train
from tests import forked


def make_special(kind: str, path: Path) -> None:
    path.unlink(missing_ok=True)
    if kind == "a link to gone.jpg, which doesn't exist":
        path.symlink_to("gone.jpg")
    elif kind == "a link that leads back to itself":
        path.symlink_to(path.name)
    elif kind == "a folder, not a photo":
        path.mkdir()
    elif kind == "a named pipe (FIFO), not a photo":
        os.mkfifo(path)
    elif kind == "a socket, not a photo":
        place = os.getcwd()
        os.chdir(path.parent)  # a socket's path may have 107 letters
        try:
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(path.name)
        finally:
            os.chdir(place)
    else:
        path.symlink_to("/dev/zero")


SPECIAL = (
    "a link to gone.jpg, which doesn't exist", "a link that leads back to itself", "a folder, not a photo",
    "a named pipe (FIFO), not a photo", "a socket, not a photo", "a device, not a photo",
)  # fmt: skip


@pytest.fixture
def special(data):
    """A data set with special files in place of photos, in both halves: {path: kind}."""
    train = sorted(data.glob("train/images/*/mask2.*"))[: len(SPECIAL)]
    eval_images = sorted(data.glob("eval/images/*"))[:3]
    made = dict(zip([*train, *eval_images], [*SPECIAL, *SPECIAL[:2], SPECIAL[3]], strict=True))
    for path, kind in made.items():
        make_special(kind, path)
    return made


@pytest.mark.parametrize("kind", SPECIAL)
def test_what_is_not_a_file_is_reported_and_never_opened(tmp_path, kind):
    path = tmp_path / "photo.jpg"
    make_special(kind, path)
    assert decode_errors([path]) == [f"{path}: {kind}"]
    with pytest.raises(UsageError, match=r"photo\.jpg: a "):
        read_photo(path)


@pytest.mark.slow
def test_all_readers_of_a_data_set_name_what_is_not_a_file(data, special, tmp_path):
    """In subprocesses with a timeout: opening a FIFO would block for ever."""
    messages = [f"{path}: {kind}" for path, kind in special.items()]
    with pytest.raises(UsageError) as caught:
        check(data)
    assert sorted(caught.value.errors) == sorted(messages)
    for words in (["dataset", "check", data], ["analysis", "eda", data, "--out", tmp_path / "eda"],
                  ["dataset", "cache", data, "--size", "8x6"]):  # fmt: skip
        ran = forked.run("-m", *words)
        assert "Traceback" not in ran.stderr, ran.stderr
        if words[1] == "eda":
            assert ran.returncode == 0, ran.stderr
            page = (tmp_path / "eda" / "eda.html").read_text()
            assert all(str(path) in page for path in special)
            continue
        assert ran.returncode == 2
        train = [line for line in messages if "/train/" in line]
        assert set(messages if words[1] == "check" else train) == set(ran.stderr.splitlines())
    for read, half in ((read_train, "train"), (read_eval, "eval")):
        with pytest.raises(UsageError) as caught:
            read(data)
        assert sorted(caught.value.errors) == sorted(line for line in messages if f"/{half}/" in line)
    assert len(fingerprint(data)) == 64


def test_the_cache_and_the_face_finder_name_what_is_not_a_file(special, tmp_path, monkeypatch):
    """A file can be replaced after the folder was listed."""
    monkeypatch.setattr(locate, "find_faces", lambda photos: np.zeros((len(photos), 4), np.float32))
    paths = [str(path) for path in special]
    for build in (
        lambda: arrays.cached(paths, (8, 6), "bicubic", tmp_path / "cache"),
        lambda: locate.faces_in(paths, tmp_path / "cache"),
    ):
        with pytest.raises(UsageError) as caught:
            build()
        assert sorted(caught.value.errors) == sorted(f"{path}: {kind}" for path, kind in special.items())


def test_a_folder_linked_into_itself_has_a_fingerprint(data):
    before = fingerprint(data)
    (data / "train" / "images" / "again").symlink_to("..")
    assert fingerprint(data) == before
    with pytest.raises(UsageError, match=r"again: train\.csv doesn't list it"):
        read_train(data)


def test_a_file_of_more_bytes_than_any_photo_is_not_read(tmp_path):
    with (tmp_path / "long.jpg").open("wb") as file:
        file.write(b"\xff\xd8")
        file.truncate(photo_file.MAX_BYTES + 1)
    assert decode_errors([tmp_path / "long.jpg"]) == [
        f"{tmp_path}/long.jpg: too large for a photo: 800 MB, the limit is 800"
    ]


def test_system_files_are_skipped_and_counted(data, capsys):
    before = fingerprint(data)
    images, eval_images = data / "train" / "images", data / "eval" / "images"
    first = next(images.iterdir())
    for path in (images / "Thumbs.db", first / "Thumbs.db", first / "desktop.ini", first / ".DS_Store", first / "._mask1.jpg", eval_images / "Thumbs.db"):  # fmt: skip
        path.write_bytes(b"x")
    (images / "__MACOSX").mkdir()
    assert len(read_train(data).table) == 98
    message = f"skipped 6 hidden or system files in {images}: .DS_Store, ._mask1.jpg, Thumbs.db (2 times), __MACOSX, desktop.ini\n"
    assert capsys.readouterr().err == message
    assert len(read_eval(data)) == 4
    assert capsys.readouterr().err == f"skipped 1 hidden or system file in {eval_images}: Thumbs.db\n"
    assert fingerprint(data) == before
    shutil.rmtree(first)
    table = scan_train(data).table
    assert table.attrs["notes"] == [f"skipped 2 hidden or system files in {images}: Thumbs.db, __MACOSX"]
