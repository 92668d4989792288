"""Draw hair behind and in front of the face."""

import numpy as np

from dataset.face_masks.drawing.canvas import Canvas, mirrored, oval, shade
from dataset.face_masks.drawing.people import Person


def hair_behind(canvas: Canvas, person: Person) -> None:
    """Draw hair that hangs behind head and shoulders or is tied up in a bun."""
    colour = shade(person.hair, 0.82)
    if person.style == "long":
        canvas.blob(
            mirrored(
                [(0, -1.62), (0.8, -1.5), (1.25, -0.7), (1.3, 0.4), (1.42, 1.6), (1.2, 2.05), (0.5, 1.9)]
            ),
            colour,
            smooth=True,
        )
    elif person.style == "bob":
        canvas.blob(
            mirrored([(0, -1.62), (0.85, -1.5), (1.3, -0.6), (1.38, 0.4), (1.25, 1.0), (0.7, 1.0)]),
            colour,
            smooth=True,
        )
    elif person.style == "bun":
        canvas.blob(oval(0, -1.5, 0.5, 0.4), colour)
        canvas.blob(
            mirrored([(0, -1.6), (0.8, -1.5), (1.18, -0.7), (1.12, 0.1), (0.6, 0.4)]), colour, smooth=True
        )


def hair_in_front(canvas: Canvas, person: Person, rng: np.random.Generator) -> None:
    """Draw crown, temples and fringe; `person.fringe` is how far the fringe reaches down the forehead."""
    if person.style == "bald":
        side = [(0.86, -0.75), (1.1, -0.55), (1.12, 0.05), (0.98, 0.1), (0.93, -0.35)]
        canvas.blob(side, person.hair, smooth=True)
        canvas.blob(np.asarray(side) * (-1, 1), person.hair, smooth=True)
        return
    line = -1.02 + 0.42 * float(np.clip(person.fringe, -0.25, 0.9))
    temple = -0.25 if person.style == "short" else 0.35
    side = rng.choice((-1.0, 1.0)) * 0.3
    crown = [
        (-1.1, temple),
        (-1.2, -0.6),
        (-0.95, -1.3),
        (-0.4, -1.62),
        (0.4, -1.62),
        (0.95, -1.3),
        (1.2, -0.6),
    ]
    edge = [(1.1, temple), (0.98, temple - 0.1), (0.88, line + 0.3), (0.5, line), (side, line - 0.12)]
    canvas.blob(
        [*crown, *edge, (-0.5, line + 0.02), (-0.88, line + 0.3), (-0.98, temple - 0.1)],
        person.hair,
        smooth=True,
    )
    for x in (-0.55, -0.15, 0.3, 0.65):
        strand = [(x * 0.7 + side * 0.3, -1.5), (x, -1.25), (x * 1.25, line - 0.04)]
        canvas.stroke(strand, shade(person.hair, 1.25), 0.035, alpha=0.6, smooth=True)
