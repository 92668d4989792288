"""A small data set in the competition's layout (14 people, 4 eval photos of one colour each); cache fixtures."""

import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from dataset.face_masks.labels import PHOTO_MASKS

AGES = {"male": (18, 29, 30, 45, 59, 60, 60), "female": (19, 25, 31, 50, 58, 60, 60)}
CLASSES = ("cat", "dog", "eel")


@pytest.fixture
def write_photo():
    """write_photo(path, colour): write a small photo of a uniform grey."""

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
def touch():
    """touch(path): an empty file, with the folders above it."""

    def make(path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()

    return make


@pytest.fixture
def folders(tmp_path, touch) -> Path:
    """A set in folders of its classes: four animals of each, three photos of each; files without pixels."""
    data = tmp_path / "folders"
    for name in CLASSES:
        for animal in range(4):
            for shot in range(3):
                touch(data / "train" / name / f"{name}{animal}_{shot}.jpg")
    for name in ("new1", "new2"):
        touch(data / "eval" / f"{name}.jpg")
    return data


@pytest.fixture
def rewrite(data: Path):
    """rewrite("train/train.csv", "old", "new"): replace text in a file of the data set; it must occur."""

    def change(name: str, old: str, new: str) -> None:
        path = data / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    return change


@pytest.fixture
def photos_in():
    """photos_in(folder): write twelve photos of 40x30 and return their paths."""

    def make(folder: Path) -> list[str]:
        rng = np.random.default_rng(0)
        folder.mkdir()
        paths = [str(folder / f"{number}.png") for number in range(12)]
        for path in paths:
            assert cv2.imwrite(path, rng.integers(0, 256, (40, 30, 3), dtype=np.uint8))
        return paths

    return make


@pytest.fixture
def paths(tmp_path: Path, photos_in) -> list[str]:
    return photos_in(tmp_path / "photos")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The cache folder; it does not exist yet."""
    return tmp_path / "cache"


@pytest.fixture
def arrays():
    """arrays(folder): the sizes of the arrays in it."""
    return lambda folder: sorted(path.name.split("-")[1] for path in folder.glob("*.npy"))


@pytest.fixture
def nothing_half_made():
    """nothing_half_made(folder): whether it has only complete arrays, each with its JSON."""

    def look(folder: Path) -> bool:
        left = {path for path in folder.iterdir() if path.name != "builder.lock"}
        whole = set(folder.glob("*.npy"))
        return left == whole | {path.with_suffix(".json") for path in whole}

    return look


@pytest.fixture
def disk(tmp_path: Path):
    """disk(size): a folder on its own disk of `size` bytes; disk.lock() makes it read-only."""
    place = tmp_path / "disk"
    place.mkdir()

    def mount(options: str) -> Path:
        try:
            subprocess.run(
                ["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], check=True, capture_output=True
            )
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"no disk can be mounted here ({error})")
        return place

    def make(size: int | str) -> Path:
        return mount(f"size={size}")

    make.lock = lambda: mount("remount,ro")
    yield make
    if place.is_mount():
        subprocess.run(["umount", place], check=True)


@pytest.fixture(scope="session")
def drawn(people) -> Image.Image:
    """A drawn photo, 64 high and 48 wide."""
    with Image.open(next(people.glob("train/images/*/normal.jp*g"))) as photo:
        return photo.convert("RGB")
