"""A small set in the competition's layout, made of plain colour photos: 14 people, 4 eval photos."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from dataset.labels import PHOTO_MASKS

AGES = {"male": (18, 29, 30, 45, 59, 60, 60), "female": (19, 25, 31, 50, 58, 60, 60)}


@pytest.fixture
def write_photo():
    """write_photo(path, colour): a small photo of one grey."""

    def write(path: Path, colour: int = 120) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(path), np.full((16, 12, 3), colour, np.uint8))

    return write


@pytest.fixture
def data(tmp_path: Path, write_photo) -> Path:
    root = tmp_path / "set"
    lines, number = ["id,gender,race,age,path"], 0
    for gender, ages in AGES.items():
        for age in ages:
            number += 1
            folder = f"{number:06d}_{gender}_Asian_{age}"
            lines.append(f"{number:06d},{gender},Asian,{age},{folder}")
            for index, stem in enumerate(PHOTO_MASKS):
                extension = (".jpg", ".jpeg", ".png")[(number + index) % 3]
                write_photo(root / "train" / "images" / folder / (stem + extension), number)
    (root / "train" / "train.csv").write_text("\n".join(lines) + "\n")
    names = [f"{letter * 8}.jpg" for letter in "dbca"]
    for name in names:
        write_photo(root / "eval" / "images" / name)
    (root / "eval" / "info.csv").write_text("ImageID,ans\n" + "".join(f"{name},0\n" for name in names))
    return root


@pytest.fixture
def rewrite(data: Path):
    """rewrite("train/train.csv", "old", "new"): changes a text file of the set, insisting that it changes."""

    def change(name: str, old: str, new: str) -> None:
        path = data / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    return change
