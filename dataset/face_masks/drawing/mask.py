"""Draw a mask, worn correctly or not."""

import numpy as np

from dataset.face_masks.drawing.canvas import Canvas, Colour, shade
from dataset.face_masks.drawing.people import Person

# White, pale blue, black, rarely pink or green.
COLOURS: tuple[Colour, ...] = (
    (238, 242, 244),
    (158, 200, 226),
    (46, 46, 52),
    (242, 170, 190),
    (150, 200, 150),
)
FRACTIONS = (0.45, 0.3, 0.15, 0.05, 0.05)
ON_CHIN = 0.5  # fraction of incorrect masks that cover the chin only; the others leave the nose free


def wear(canvas: Canvas, person: Person, rng: np.random.Generator, correctly: bool) -> None:
    """Draw a mask of a random colour: over nose and chin, or, if not `correctly`, below the nose."""
    colour = COLOURS[rng.choice(len(COLOURS), p=FRACTIONS)]
    low = 1.4
    top, side = 0.12 + rng.normal(0, 0.03), 0.25 + rng.normal(0, 0.04)
    if not correctly:
        if rng.random() < ON_CHIN:
            top, side, low = 0.98 + rng.normal(0, 0.04), 0.86, 1.55
        else:
            top, side = 0.62 + rng.normal(0, 0.03), 0.55 + rng.normal(0, 0.04)
    _cloth(canvas, colour, top, side, low, person.jaw, pleats=bool(rng.random() < 0.7))


def _cloth(
    canvas: Canvas, colour: Colour, top: float, side: float, low: float, jaw: float, pleats: bool
) -> None:
    half = jaw + 0.14
    bottom = low - 0.25
    for sign in (-1, 1):
        for y in (side + 0.05, (side + bottom) / 2 + 0.12):
            canvas.stroke([(sign * half * 0.95, y), (sign * 1.0, -0.02)], shade(colour, 0.9), 0.045)
    edge = [(half, side), (half, bottom - 0.18), (half * 0.62, bottom + 0.12), (0, low)]
    right = [(0, top), (0.3, top + 0.04), *edge]
    left = [(-x, y) for x, y in right[::-1]]
    canvas.blob([*right, *left], shade(colour, 0.82), smooth=True)
    inner = np.array([*right, *left])
    centre = inner.mean(axis=0)
    canvas.blob(centre + (inner - centre) * 0.95, colour, smooth=True)
    if pleats:
        for fraction in (0.35, 0.55, 0.75):
            y = side + (bottom - side) * fraction
            canvas.stroke([(-half * 0.85, y), (0, y + 0.05), (half * 0.85, y)], shade(colour, 0.86), 0.035)
