"""Draw one photo of one person: pose, wall, head, mask and exposure."""

import cv2
import numpy as np

from dataset.face_masks.drawing.canvas import Canvas, Colour, shade
from dataset.face_masks.drawing.face import body, features, head, texture
from dataset.face_masks.drawing.hair import hair_behind, hair_in_front
from dataset.face_masks.drawing.mask import wear
from dataset.face_masks.drawing.people import Person
from dataset.face_masks.labels import MASKS


def portrait(person: Person, mask: int, height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """A photo of the person, uint8 (height, width, 3) in RGB; `mask` is an index into labels.MASKS."""
    # Drawn at twice the size: averaging it down smooths the edges.
    canvas = Canvas(2 * height, 2 * width, _pose(2 * height, 2 * width, rng))
    _paint_wall(canvas, person.wall, rng)
    hair_behind(canvas, person)
    body(canvas, person)
    head(canvas, person)
    texture(canvas, person, rng)
    features(canvas, person, rng)
    hair_in_front(canvas, person, rng)
    if MASKS[mask] != "not worn":
        wear(canvas, person, rng, correctly=MASKS[mask] == "wear")
    pixels = cv2.resize(canvas.pixels, (width, height), interpolation=cv2.INTER_AREA)
    return _expose(pixels, rng)


def _pose(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Affine matrix (2, 3) from face units to pixels: a face of about 65 % of the width, slightly shifted,
    rotated and scaled at random."""
    unit = width * 0.325 * rng.uniform(0.93, 1.07)
    turn = np.radians(rng.normal(0, 3))
    cos, sin = unit * np.cos(turn), unit * np.sin(turn)
    x, y = width * (0.5 + rng.normal(0, 0.025)), height * (0.46 + rng.normal(0, 0.015))
    return np.array([[cos, -sin, x], [sin, cos, y]])


def _paint_wall(canvas: Canvas, wall: Colour, rng: np.random.Generator) -> None:
    """Paint a wall, lighter on one side; in 40 % of the photos with a frame or a curtain."""
    height, width = canvas.pixels.shape[:2]
    side = rng.uniform(0.8, 1.0), rng.uniform(0.95, 1.12)
    across = np.linspace(*(side if rng.random() < 0.5 else side[::-1]), width)
    canvas.pixels[:] = np.clip(across[None, :, None] * np.array(wall), 0, 255).astype(np.uint8)
    if rng.random() < 0.4:
        left = int(rng.uniform(-0.1, 0.9) * width)
        top, right, bottom = (
            int(rng.uniform(-0.1, 0.3) * height),
            left + width // 4,
            int(rng.uniform(0.4, 1) * height),
        )
        cv2.rectangle(canvas.pixels, (left, top), (right, bottom), shade(wall, rng.uniform(0.7, 0.9)), -1)


def _expose(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Random light from one side, tint, blur and noise on uint8 RGB `pixels`; uint8 RGB of the same shape."""
    width = pixels.shape[1]
    photo = pixels.astype(np.float32)
    bright, slope = rng.normal(1.0, 0.06), rng.uniform(-0.1, 0.1)
    light = bright + slope * np.linspace(-1, 1, width, dtype=np.float32)[None, :, None]
    photo *= light * (1 + rng.normal(0, 0.025, 3).astype(np.float32))
    photo = cv2.GaussianBlur(photo, (0, 0), rng.uniform(0.2, 1.1))
    photo += rng.normal(0, rng.uniform(1, 5), photo.shape[:2]).astype(np.float32)[..., None]
    return np.clip(photo, 0, 255).astype(np.uint8)
