"""Draw one photo of one person."""

import cv2
import numpy as np

from dataset.drawing import camera
from dataset.drawing.canvas import Canvas
from dataset.drawing.face import body, features, head, texture
from dataset.drawing.hair import hair_before, hair_behind
from dataset.drawing.mask import wear
from dataset.drawing.people import Person
from dataset.labels import MASKS


def portrait(person: Person, mask: int, height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """A photo of the person, uint8 (height, width, 3) in RGB; `mask` is an index into labels.MASKS."""
    # Drawn at twice the size: averaging it down smooths the edges.
    canvas = Canvas(2 * height, 2 * width, camera.pose(2 * height, 2 * width, rng))
    camera.backdrop(canvas, person.wall, rng)
    hair_behind(canvas, person)
    body(canvas, person)
    head(canvas, person)
    texture(canvas, person, rng)
    features(canvas, person, rng)
    hair_before(canvas, person, rng)
    if MASKS[mask] != "not worn":
        wear(canvas, person, rng, correctly=MASKS[mask] == "wear")
    pixels = cv2.resize(canvas.pixels, (width, height), interpolation=cv2.INTER_AREA)
    return camera.expose(pixels, rng)
