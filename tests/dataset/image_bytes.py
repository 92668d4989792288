"""Encoded photos as bytes, for tests of decoding."""

import io
import struct
import zlib

import cv2
import numpy as np
from PIL import Image


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
