"""A small photos.csv; its photos are files without pixels, as they are not decoded."""

from pathlib import Path

import pytest

from tests.dataset.conftest import CLASSES

HEADER = "path,label,group,split"
FACTORS = [  # path,size,colour,group
    f"{size}{colour}{n}.jpg,{size},{colour},{size}{colour}{n}"
    for size in ("small", "large") for colour in ("red", "blue", "green") for n in range(3)
]  # fmt: skip
# The same with a label, of which the factors are the parts.
LABELLED = [f"{line},{line.split(',')[1][0]}-{line.split(',')[2][0]}" for line in FACTORS]


@pytest.fixture
def write(tmp_path, touch):
    """write(line, ..., header=): a set with this photos.csv; its photos exist."""

    def make(*lines: str, header: str = HEADER, missing: tuple[str, ...] = ()) -> Path:
        data = tmp_path / "set"
        data.mkdir(exist_ok=True)
        place = header.split(",").index("path") if "path" in header.split(",") else 0
        (data / "photos.csv").write_text("\n".join([header, *lines]) + "\n")
        for line in lines:
            path = line.split(",")[place]
            if path and path not in missing and ".." not in path and path[0] != "/":
                touch(data / path)
        return data

    return make


@pytest.fixture
def pets() -> list[str]:
    """The lines of four animals of each of three classes, three photos each, and of two photos to predict."""
    lines = [
        f"{name}{animal}_{shot}.jpg,{name},{name}{animal},train"
        for name in CLASSES
        for animal in range(4)
        for shot in range(3)
    ]
    return [*lines, "new2.jpg,,,eval", "new1.jpg,dog,rex,eval"]
