"""Draw clothes, head and facial features; hair and mask are drawn over them."""

import cv2
import numpy as np

from dataset.face_masks.drawing.canvas import Canvas, mirrored, mix, oval, rounded, shade
from dataset.face_masks.drawing.people import Person


def outline(person: Person) -> list[tuple[float, float]]:
    """The right half of the outline of the face, from the top to the chin."""
    jaw = person.jaw
    return [
        (0, -1.3),
        (0.62, -1.24),
        (0.98, -0.7),
        (1.0, 0.05),
        (jaw + 0.12, 0.7),
        (jaw * 0.62, 1.16),
        (0, 1.3),
    ]


def body(canvas: Canvas, person: Person) -> None:
    """Draw shoulders, clothes and neck."""
    wide, colour = person.shoulders, person.clothes
    if person.garment == "hoodie":
        canvas.blob(
            mirrored([(0, 0.7), (0.9, 0.85), (1.2, 1.5), (0.6, 2.0)]), shade(colour, 0.8), smooth=True
        )
    canvas.blob(
        mirrored([(0, 1.55), (0.75, 1.5), (wide, 1.85), (wide + 0.3, 3.2), (0, 3.4)]), colour, smooth=True
    )
    neck = shade(person.skin, 0.86)
    canvas.blob(mirrored([(0, 0.9), (0.46, 0.9), (0.48, 1.5), (0.3, 1.95), (0, 2.0)]), neck, smooth=True)
    if person.garment in ("collar", "suit"):
        inside = (240, 240, 244) if person.garment == "suit" else shade(colour, 1.3)
        for sign in (-1, 1):
            flap = np.array([(0.5, 1.38), (0.72, 1.62), (0.36, 2.2), (0.02, 1.9)]) * (sign, 1)
            canvas.blob(flap, inside)
        if person.garment == "suit":
            canvas.blob([(-0.02, 1.9), (0.3, 2.2), (0, 3.2), (-0.3, 2.2)], inside)
            canvas.blob([(-0.12, 1.92), (0.12, 1.92), (0.16, 3.2), (-0.16, 3.2)], shade(colour, 0.55))
    elif person.garment == "knit":
        canvas.stroke(oval(0, 1.5, 0.56, 0.4, 10, 170), shade(colour, 1.25), 0.2)
        for y in (2.1, 2.4, 2.7):
            canvas.stroke([(-wide, y), (0, y + 0.06), (wide, y)], shade(colour, 0.8), 0.07)
    else:
        canvas.stroke(oval(0, 1.5, 0.5, 0.42, 10, 170), shade(colour, 0.8), 0.07)


def head(canvas: Canvas, person: Person) -> None:
    """Draw ears, face, shadows, wrinkles and beard."""
    skin = person.skin
    for sign in (-1, 1):
        canvas.blob(oval(sign * 1.0, 0.02, 0.16, 0.28), shade(skin, 0.9))
        if person.earrings:
            canvas.blob(oval(sign * 1.04, 0.34, 0.07, 0.09), (250, 214, 110))
    canvas.blob(mirrored(outline(person)), skin, smooth=True)
    blush = mix(skin, (236, 110, 110), 0.5)
    dark = shade(mix(skin, (120, 70, 60), 0.35), 0.75)
    for sign in (-1, 1):
        canvas.blob(oval(sign * 0.56, 0.38, 0.24, 0.17), blush, alpha=0.35 * (1 - person.roughness) + 0.05)
        canvas.blob(oval(sign * 0.42, 0.14, 0.25, 0.11), dark, alpha=0.5 * person.bags)
        if person.wrinkles > 0.15:
            strength = 0.25 + 0.6 * person.wrinkles
            fold = [(sign * 0.3, 0.34), (sign * 0.5, 0.6), (sign * 0.46, 0.86)]
            canvas.stroke(fold, dark, 0.03 + 0.03 * person.wrinkles, strength, smooth=True)
            for turn in (-0.1, 0.02, 0.14):
                canvas.stroke(
                    [(sign * 0.72, -0.06 + turn / 2), (sign * 0.9, -0.1 + turn * 1.6)], dark, 0.025, strength
                )
    for line in range(round(person.wrinkles * 4)):
        y = -0.62 - 0.13 * line
        canvas.stroke(
            [(-0.5, y + 0.03), (0, y - 0.03), (0.5, y + 0.03)], dark, 0.035, 0.35 + 0.4 * person.wrinkles
        )
    if person.beard:
        beard = mix(person.hair, skin, 0.25)
        edge = [(0.98, 0.2), (person.jaw + 0.12, 0.7), (person.jaw * 0.62, 1.17), (0, 1.31)]
        canvas.blob(
            mirrored([(0, 0.55), (0.42, 0.62), (0.7, 0.45), *edge]),
            beard,
            0.2 + 0.5 * person.beard,
            smooth=True,
        )


def texture(canvas: Canvas, person: Person, rng: np.random.Generator) -> None:
    """Add skin texture as noise; `person.roughness` grows with age."""
    edge = rounded(mirrored(outline(person))) @ canvas.pose[:, :2].T + canvas.pose[:, 2]
    left, top, wide, high = cv2.boundingRect(np.rint(edge).astype(np.int32))
    inside = np.zeros((high, wide), np.float32)
    cv2.fillPoly(inside, [np.rint(edge - (left, top)).astype(np.int32)], 1.0)
    left, top = max(left, 0), max(top, 0)
    skin = canvas.pixels[top : top + high, left : left + wide]
    high, wide = skin.shape[:2]
    grain = rng.normal(0, 14 * person.roughness, (high // 5 + 1, wide // 5 + 1)).astype(np.float32)
    grain = cv2.resize(grain, (wide, high), interpolation=cv2.INTER_CUBIC) * inside[:high, :wide]
    skin[:] = np.clip(skin + grain[..., None], 0, 255).astype(np.uint8)


def features(canvas: Canvas, person: Person, rng: np.random.Generator) -> None:
    """Draw eyes, brows, nose, mouth and glasses; gaze and smile vary from photo to photo."""
    look, smile, wide = (
        rng.uniform(-0.06, 0.06),
        rng.uniform(-0.06, 0.16),
        person.eye * rng.uniform(0.85, 1.1),
    )
    line = shade(mix(person.hair, (30, 24, 24), 0.5), 0.8)
    for sign in (-1, 1):
        x = sign * 0.42
        canvas.blob(oval(x, -0.08, 0.2, 0.06 + 0.1 * wide), (250, 248, 246))
        canvas.blob(oval(x + look, -0.08, 0.1, 0.06 + 0.08 * wide), (58, 38, 30))
        canvas.blob(oval(x + look + 0.03, -0.12, 0.03, 0.03), (250, 250, 250))
        canvas.stroke(
            oval(x, -0.07, 0.21, 0.08 + 0.1 * wide, 190, 350), (36, 28, 28), 0.03 + 0.04 * person.lips
        )
        arch = [(x - sign * 0.2, -0.34), (x + sign * 0.05, -0.42), (x + sign * 0.26, -0.33)]
        canvas.stroke(arch, line, 0.04 + 0.1 * person.brow, 0.9, smooth=True)
    shadow = shade(person.skin, 0.78)
    canvas.stroke([(0.02, -0.02), (0.1, 0.3), (0.12, 0.42), (0, 0.46)], shadow, 0.05, smooth=True)
    canvas.blob(oval(-0.08, 0.44, 0.05, 0.035), shade(person.skin, 0.6))
    canvas.blob(oval(0.1, 0.44, 0.05, 0.035), shade(person.skin, 0.6))
    mouth = mix(shade(person.skin, 0.68), (196, 44, 66), person.lips * 0.9)
    corner, full = 0.36 + smile * 0.5, 0.07 + 0.06 * person.lips
    canvas.blob(
        [
            (-corner, 0.78 - smile),
            (-0.1, 0.76 - full),
            (0, 0.77),
            (0.1, 0.76 - full),
            (corner, 0.78 - smile),
            (0.14, 0.8 + full + smile / 2),
            (-0.14, 0.8 + full + smile / 2),
        ],
        mouth,
        smooth=True,
    )
    canvas.stroke(
        [(-corner, 0.78 - smile), (0, 0.8 + smile / 2), (corner, 0.78 - smile)],
        shade(mouth, 0.6),
        0.03,
        smooth=True,
    )
    if person.glasses:
        for sign in (-1, 1):
            canvas.stroke(oval(sign * 0.43, -0.05, 0.31, 0.25), (50, 46, 52), 0.06)
            canvas.stroke([(sign * 0.74, -0.1), (sign * 1.0, -0.14)], (50, 46, 52), 0.05)
        canvas.stroke([(-0.13, -0.08), (0.13, -0.08)], (50, 46, 52), 0.05)
