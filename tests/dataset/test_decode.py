"""Valid photos of all kinds are decoded to the same pixels as by OpenCV."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from dataset.decode import decode
from dataset.pixels import decode_errors, read_photo
from dataset.read import read_eval, read_train
from tests.dataset.image_bytes import by_opencv, chunk, flat_jpeg, jpeg, png


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


@pytest.mark.shared
@pytest.mark.slow
def test_no_real_photo_is_refused(standin):
    table = read_train(standin).table
    assert decode_errors([*table["path"], *read_eval(standin)["path"]]) == []
