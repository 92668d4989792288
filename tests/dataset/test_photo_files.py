"""Photos that are none: what isn't a file, is damaged or too large; and odd ones that must be taken."""

import io
import os
import shutil
import socket
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from dataset import cache, faces, photo_file
from dataset.check import check
from dataset.decode import JPEG, decode
from dataset.errors import CallersMistake
from dataset.fingerprint import fingerprint
from dataset.machine import PROJECT
from dataset.photos import read_eval, read_train, scan_train
from dataset.pixels import read_photo, unreadable


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
    """The set with six photos replaced, in both halves: path -> what it is now."""
    train = sorted(data.glob("train/images/*/mask2.*"))[: len(SPECIAL)]
    judged = sorted(data.glob("eval/images/*"))[:3]
    made = dict(zip([*train, *judged], [*SPECIAL, *SPECIAL[:2], SPECIAL[3]], strict=True))
    for path, kind in made.items():
        make_special(kind, path)
    return made


@pytest.mark.parametrize("kind", SPECIAL)
def test_what_is_not_a_file_is_said_and_never_opened(tmp_path, kind):
    path = tmp_path / "photo.jpg"
    make_special(kind, path)
    assert unreadable([path]) == [f"{path}: {kind}"]
    with pytest.raises(CallersMistake, match=r"photo\.jpg: a "):
        read_photo(path)


def test_all_that_read_a_set_name_what_is_not_a_file(data, special, tmp_path):
    """In processes of their own with a limit: a FIFO that is opened would hang for ever."""
    sentences = [f"{path}: {kind}" for path, kind in special.items()]
    with pytest.raises(CallersMistake) as caught:
        check(data)
    assert sorted(caught.value.faults) == sorted(sentences)
    for words in (["dataset", "check", data], ["analysis", "eda", data, "--out", tmp_path / "eda"],
                  ["dataset", "cache", data, "--size", "8x6"]):  # fmt: skip
        ran = subprocess.run(
            [sys.executable, "-m", *map(str, words)], cwd=PROJECT, capture_output=True, text=True, timeout=120
        )
        assert "Traceback" not in ran.stderr, ran.stderr
        if words[1] == "eda":
            assert ran.returncode == 0, ran.stderr
            page = (tmp_path / "eda" / "eda.html").read_text()
            assert all(str(path) in page for path in special)
            continue
        assert ran.returncode == 2
        train = [line for line in sentences if "/train/" in line]
        assert set(sentences if words[1] == "check" else train) == set(ran.stderr.splitlines())
    for read, half in ((read_train, "train"), (read_eval, "eval")):
        with pytest.raises(CallersMistake) as caught:
            read(data)
        assert sorted(caught.value.faults) == sorted(line for line in sentences if f"/{half}/" in line)
    assert len(fingerprint(data)) == 64


def test_the_cache_and_the_face_finder_name_what_is_not_a_file(special, tmp_path, monkeypatch):
    """A file can change between the look at the folder and its turn."""
    monkeypatch.setattr(faces, "find_faces", lambda photos: np.zeros((len(photos), 4), np.float32))
    paths = [str(path) for path in special]
    for build in (
        lambda: cache.cached(paths, (8, 6), "bicubic", tmp_path / "cache"),
        lambda: faces.faces_in(paths, tmp_path / "cache"),
    ):
        with pytest.raises(CallersMistake) as caught:
            build()
        assert sorted(caught.value.faults) == sorted(f"{path}: {kind}" for path, kind in special.items())


def test_a_folder_linked_into_itself_has_a_fingerprint(data):
    before = fingerprint(data)
    (data / "train" / "images" / "again").symlink_to("..")
    assert fingerprint(data) == before
    with pytest.raises(CallersMistake, match=r"again: train\.csv doesn't list it"):
        read_train(data)


def jpeg(photo: Image.Image, **how) -> bytes:
    buffer = io.BytesIO()
    photo.save(buffer, "JPEG", **how)
    return buffer.getvalue()


def png(photo: Image.Image, **how) -> bytes:
    buffer = io.BytesIO()
    photo.save(buffer, "PNG", **how)
    return buffer.getvalue()


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def by_opencv(data: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)


@pytest.fixture(scope="module")
def drawn(people) -> Image.Image:
    with Image.open(next(people.glob("train/images/*/normal.jp*g"))) as photo:
        return photo.convert("RGB")


def flat_jpeg(sampling: tuple[tuple[int, int], ...], side: int = 32) -> bytes:
    """A grey JPEG of any sampling factors: each block is the same few bits, so they can be written by hand."""
    data = bytearray(jpeg(Image.new("RGB", (side, side), (128, 128, 128)), subsampling=0))
    frame = data.index(b"\xff\xc0")
    for component, (across, down) in enumerate(sampling):
        data[frame + 11 + 3 * component] = across * 16 + down
    scan = data.index(b"\xff\xda")
    scan += 2 + int.from_bytes(data[scan + 2 : scan + 4], "big")
    blocks = [across * down for across, down in sampling]
    units = -(-side // (8 * max(a for a, _ in sampling))) * -(-side // (8 * max(d for _, d in sampling)))
    bits = ("001010" * blocks[0] + "0000" * (blocks[1] + blocks[2])) * units
    bits += "1" * (-len(bits) % 8)
    coded = bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits), 8))
    return bytes(data[:scan]) + coded.replace(b"\xff", b"\xff\0") + b"\xff\xd9"


def test_valid_photos_of_all_kinds_are_taken_with_opencvs_pixels(drawn, tmp_path, capfd):
    deep = Image.fromarray(np.asarray(drawn.convert("L")).astype(np.uint16) * 257)
    whole = png(drawn)
    kinds = {
        "progressive.jpg": jpeg(drawn, progressive=True), "grey.jpg": jpeg(drawn.convert("L")),
        "cmyk.jpg": jpeg(drawn.convert("CMYK")), "rgb.jpg": jpeg(drawn, keep_rgb=True),
        "444.jpg": jpeg(drawn, subsampling=0), "422.jpg": jpeg(drawn, subsampling=1),
        "restart.jpg": jpeg(drawn, restart_marker_rows=1), "trailing.jpg": jpeg(drawn) + b"\xff\xd8left over" * 9,
        "comment.jpg": jpeg(drawn, comment=b"Exif\0\0 is only mentioned"), "odd.jpg": flat_jpeg(((2, 2), (1, 2), (1, 1))),
        "one.jpg": jpeg(drawn.resize((1, 1))),
        "palette.png": png(drawn.convert("P")), "alpha.png": png(drawn.convert("RGBA")), "grey.png": png(drawn.convert("LA")),
        "16.png": png(deep), "1.png": png(drawn.convert("1")), "trailing.png": whole + b"left over",
        "see-through.png": png(drawn.convert("P"), transparency=3),
        "gamma.png": whole[:33] + chunk(b"gAMA", struct.pack(">I", 22222)) + whole[33:],
        "profile.png": whole[:33] + chunk(b"iCCP", b"sRGB\0\0" + zlib.compress(b"none")) + whole[33:],
    }  # fmt: skip
    for name, data in kinds.items():
        (tmp_path / name).write_bytes(data)
        why, photo = decode(tmp_path / name)
        assert photo is not None, (name, why)
        assert capfd.readouterr().err == "", name
        assert np.array_equal(photo, by_opencv(data)), name
        capfd.readouterr()  # what OpenCV prints


@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize("turned", range(10))
def test_exif_turns_as_opencv_does(drawn, tmp_path, turned, big_endian):
    order, mark = (">", b"MM\0*") if big_endian else ("<", b"II*\0")
    tiff = mark + struct.pack(f"{order}IHHHIHHI", 8, 1, 0x0112, 3, 1, turned, 0, 0)
    plain, app1 = jpeg(drawn), b"Exif\0\0" + tiff
    data = plain[:2] + b"\xff\xe1" + struct.pack(">H", len(app1) + 2) + app1 + plain[2:]
    (tmp_path / "turned.jpg").write_bytes(data)
    assert np.array_equal(read_photo(tmp_path / "turned.jpg"), by_opencv(data))
    broken = data.replace(mark, b"\xff" * 4)
    (tmp_path / "broken.jpg").write_bytes(broken)
    assert np.array_equal(read_photo(tmp_path / "broken.jpg"), by_opencv(plain))


def overwritten(data: bytes, at: float, by: bytes) -> bytes:
    start = int(len(data) * at)
    return data[:start] + by + data[start + len(by) :]


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize(
    ("at", "by"), [(0.5, b"\xff" * 8), (0.6, b"\xff\xd0" * 3), (0.7, bytes(range(250, 256)) * 9)]
)
def test_a_jpeg_damaged_in_the_middle_is_a_fault_with_its_name(drawn, tmp_path, capfd, progressive, at, by):
    path = tmp_path / "damaged.jpg"
    path.write_bytes(overwritten(jpeg(drawn, quality=95, progressive=progressive), at, by))
    for size in (None, (16, 12)):  # decoded whole, and smaller
        why, photo = decode(path, size)
        assert photo is None
        assert why.startswith("damaged (") and why.endswith("); replace it")
    (fault,) = unreadable([path])
    assert fault.startswith(f"{path}: damaged (")
    assert capfd.readouterr().err == ""  # no line of libjpeg's, which has no file name


def test_a_damaged_png_is_a_fault_with_its_name(drawn, tmp_path, capfd):
    whole = png(drawn)
    damaged = {
        "byte": overwritten(whole, 0.5, b"\0\0\0"), "cut": whole[: len(whole) // 2], "end": whole[:-12],
        "last": whole[:-1] + b"\0", "head": whole[:20], "length": whole[:33] + b"\x7f" + whole[34:],
        "size": whole[:16] + b"\0\0\1\0" + whole[20:],
    }  # fmt: skip
    for name, data in damaged.items():
        (tmp_path / f"{name}.png").write_bytes(data)
        why, photo = decode(tmp_path / f"{name}.png")
        assert photo is None and why.startswith("damaged ("), name
        assert capfd.readouterr().err == "", name


def test_damage_is_named_by_check_and_when_a_set_is_decoded(data, drawn, tmp_path, capfd):
    photo = sorted(data.glob("train/images/*/normal.jpg"))[0]
    photo.write_bytes(overwritten(jpeg(drawn, quality=95), 0.5, b"\xff" * 8))
    for look in (
        lambda: check(data),
        lambda: cache.cached(list(read_train(data)["path"]), (8, 6), "bicubic", tmp_path / "cache"),
    ):
        with pytest.raises(CallersMistake) as caught:
            look()
        (fault,) = caught.value.faults
        assert fault.startswith(f"{photo}: damaged (")
    assert "JPEG data" not in capfd.readouterr().err


HUGE = 30_000


def huge_png() -> bytes:
    """30,000 x 30,000: its header is all that may be looked at."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", HUGE, HUGE, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def huge_jpeg() -> bytes:
    data = bytearray(jpeg(Image.new("RGB", (16, 16))))
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = struct.pack(">HH", HUGE, HUGE)
    return bytes(data)


def huge_bmp() -> bytes:
    return (
        b"BM"
        + struct.pack("<IHHI", 54, 0, 0, 54)
        + struct.pack("<IiiHHIIiiII", 40, HUGE, HUGE, 1, 24, 0, 0, 0, 0, 0, 0)
    )


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("make", [huge_png, huge_jpeg, huge_bmp])
def test_more_pixels_than_the_limit_are_refused_before_they_are_decoded(data, tmp_path, make):
    photo = sorted(data.glob("train/images/*/mask1.jpg"))[0]
    photo.write_bytes(make())
    code = (
        "import resource, sys; from dataset.pixels import unreadable; print(unreadable(sys.argv[1:])[0]);"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, photo],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    fault, peak = ran.stdout.splitlines()
    if make is huge_bmp:  # Pillow refuses that one first
        assert fault.endswith(photo_file.TOO_LARGE)
    else:
        assert (
            fault
            == f"{photo}: 30,000 x 30,000 pixels, too large (the limit is 100 megapixels); make it smaller"
        )
    assert int(peak) < 500_000  # KiB; its pixels alone are 2,600,000
    with pytest.raises(CallersMistake) as caught:
        check(data)
    assert len(caught.value.faults) == 1


def test_a_file_of_more_bytes_than_any_photo_is_not_read(tmp_path):
    with (tmp_path / "long.jpg").open("wb") as file:
        file.write(JPEG)
        file.truncate(photo_file.MAX_BYTES + 1)
    assert unreadable([tmp_path / "long.jpg"]) == [
        f"{tmp_path}/long.jpg: too large for a photo: 800 MB, the limit is 800"
    ]


def test_system_files_are_passed_over_and_counted(data, capsys):
    before = fingerprint(data)
    images, judged = data / "train" / "images", data / "eval" / "images"
    first = next(images.iterdir())
    for path in (images / "Thumbs.db", first / "Thumbs.db", first / "desktop.ini", first / ".DS_Store", first / "._mask1.jpg", judged / "Thumbs.db"):  # fmt: skip
        path.write_bytes(b"x")
    (images / "__MACOSX").mkdir()
    assert len(read_train(data)) == 98
    said = f"skipped 6 hidden or system files in {images}: .DS_Store, ._mask1.jpg, Thumbs.db (2 times), __MACOSX, desktop.ini\n"
    assert capsys.readouterr().err == said
    assert len(read_eval(data)) == 4
    assert capsys.readouterr().err == f"skipped 1 hidden or system file in {judged}: Thumbs.db\n"
    assert fingerprint(data) == before
    shutil.rmtree(first)
    table, _ = scan_train(data)
    assert table.attrs["notes"] == [f"skipped 2 hidden or system files in {images}: Thumbs.db, __MACOSX"]


@pytest.mark.shared
def test_no_real_photo_is_refused(standin):
    table = read_train(standin)
    assert unreadable([*table["path"], *read_eval(standin)["path"]]) == []
