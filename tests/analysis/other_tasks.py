"""Small drawn sets of other tasks than the home one: each class has a colour of its own."""

from colorsys import hsv_to_rgb
from pathlib import Path

import cv2
import numpy as np

PATIENTS, EVAL_PATIENTS, PHOTOS = 12, 4, 4
CLASSES = [f"kind {number}" for number in range(40)]


def two_classes(folder: Path) -> Path:
    """photos.csv of 12 patients to train on, a third of them ill, and 4 to predict, whose labels are given."""
    random = np.random.default_rng(0)
    lines = ["path,label,patient,split"]
    for patient in range(PATIENTS + EVAL_PATIENTS):
        label = "ill" if patient % 3 == 0 else "well"
        split = "train" if patient < PATIENTS else "eval"
        for number in range(PHOTOS):
            path = f"photos/{patient:02d}_{number}.png"
            draw(folder / path, 0.0 if label == "ill" else 0.5, random)
            lines.append(f"{path},{label},p{patient},{split}")
    (folder / "photos.csv").write_text("\n".join(lines) + "\n")
    return folder


def forty_classes(folder: Path) -> Path:
    """A folder for each of 40 classes with 3 photos to train on (kind 7: 2), and one to predict of each, in
    folders of classes too."""
    random = np.random.default_rng(0)
    for label, name in enumerate(CLASSES):
        for number in range(2 if label == 7 else 3):
            draw(folder / "train" / name / f"{label}_{number}.png", label / len(CLASSES), random)
        draw(folder / "eval" / name / f"{label}.png", label / len(CLASSES), random)
    return folder


def draw(path: Path, hue: float, random: np.random.Generator) -> None:
    """A photo of 32 x 24 pixels in about one colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    colour = 255 * np.array(hsv_to_rgb(hue, 0.8, 0.8))[::-1]
    pixels = colour + random.normal(0, 12, (32, 24, 3))
    cv2.imwrite(str(path), pixels.clip(0, 255).astype(np.uint8))
