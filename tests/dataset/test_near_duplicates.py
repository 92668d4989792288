import itertools
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from dataset import near_duplicates
from dataset.near_duplicates import find
from dataset.read import scan_train

COPIES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "as it is": lambda photo: photo,
    "smaller": lambda photo: cv2.resize(photo, None, fx=0.4, fy=0.4, interpolation=cv2.INTER_AREA),
    "squeezed": lambda photo: cv2.resize(photo, (100, 120), interpolation=cv2.INTER_AREA),
    "brighter": lambda photo: cv2.convertScaleAbs(photo, alpha=1.1, beta=10),
    "grey": lambda photo: cv2.cvtColor(cv2.cvtColor(photo, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR),
    "mirrored": lambda photo: cv2.flip(photo, 1),
    "mirrored and smaller": lambda photo: cv2.resize(
        cv2.flip(photo, 1), (90, 120), interpolation=cv2.INTER_AREA
    ),
    "cropped by 2 %": lambda photo: photo[5:-5, 4:-4],
    "turned by 2 degrees": lambda photo: cv2.warpAffine(
        photo, cv2.getRotationMatrix2D((96, 128), 2, 1), (192, 256), borderMode=cv2.BORDER_REPLICATE
    ),
}
OTHERS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "upside down": lambda photo: cv2.flip(photo, 0),
    "cropped by 15 %": lambda photo: photo[38:-38, 28:-28],
    "of one colour": lambda photo: np.full_like(photo, 90),
    "inverted": lambda photo: 255 - photo,
}


def drawn(seed: int) -> np.ndarray:
    """A photo of 256 x 192 with coarse and fine structure, different for each seed."""
    rng = np.random.default_rng(seed)
    layers = [
        cv2.resize(rng.random((size, size, 3), np.float32), (192, 256), interpolation=cv2.INTER_CUBIC)
        * weight
        for size, weight in ((4, 150), (12, 60), (48, 25))
    ]
    return np.clip(np.sum(layers, axis=0), 0, 255).astype(np.uint8)


def table_of(folder: Path, photos: dict[str, np.ndarray], quality: int = 90) -> pd.DataFrame:
    """A DataFrame of JPEGs {photo: pixels}; its first folder is a photo's group."""
    rows = []
    for photo, pixels in photos.items():
        path = folder / photo
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
        rows.append((photo, str(path), photo.partition("/")[0], 0))
    return pd.DataFrame(rows, columns=["photo", "path", "group", "label"])


def own(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(group=table["photo"])


@pytest.fixture
def ten() -> dict[str, np.ndarray]:
    return {f"{number}.jpg": drawn(number) for number in range(10)}


@pytest.mark.parametrize("how", COPIES)
def test_copies_are_found(how, ten, tmp_path):
    table = own(table_of(tmp_path, ten | {"copy.jpg": COPIES[how](ten["3.jpg"])}))
    ((one, other, correlation, _),) = find(table).pairs
    assert (one, other) == ("3.jpg", "copy.jpg")
    assert near_duplicates.COARSE_ALIKE <= correlation <= 1.0001


def test_copies_of_low_quality_and_another_format_are_found(ten, tmp_path):
    table = pd.concat([table_of(tmp_path, ten), table_of(tmp_path / "low", {"copy.jpg": ten["3.jpg"]}, 10),
                       table_of(tmp_path, {"copy.png": ten["7.jpg"]})])  # fmt: skip
    assert {pair[:2] for pair in find(own(table)).pairs} == {("3.jpg", "copy.jpg"), ("7.jpg", "copy.png")}


@pytest.mark.parametrize("how", OTHERS)
def test_other_photos_are_not(how, ten, tmp_path):
    assert find(own(table_of(tmp_path, ten | {"other.jpg": OTHERS[how](ten["3.jpg"])}))).pairs == []


def test_photos_that_cannot_be_read_or_have_one_colour_are_like_no_other(ten, tmp_path):
    plain = {f"plain {number}.jpg": np.full((64, 48, 3), number, np.uint8) for number in (20, 200)}
    table = own(table_of(tmp_path, ten | plain))
    (tmp_path / "0.jpg").write_text("no photo")
    (tmp_path / "1.jpg").write_text("no photo")
    assert find(table).pairs == []


def test_tiny_photos_must_be_nearly_equal(tmp_path):
    def dot(row: int) -> np.ndarray:
        photo = np.zeros((16, 16, 3), np.uint8)
        photo[3:13, 7:9] = 255
        photo[row, 9] = 255
        return photo

    table = own(table_of(tmp_path, {"a.png": dot(3), "b.png": dot(3), "c.png": dot(12)}))
    assert [pair[:2] for pair in find(table).pairs] == [("a.png", "b.png")]


def test_groups_are_alike_by_one_photo_but_not_by_their_own(ten, tmp_path):
    photos = {f"group {number // 2}/{number}.jpg": photo for number, photo in enumerate(ten.values())}
    photos["group 1/own.jpg"] = photos["group 1/2.jpg"]
    table = table_of(tmp_path, photos)
    assert find(table).pairs == []
    (pair,) = find(table_of(tmp_path, photos | {"group 4/x.jpg": cv2.flip(photos["group 0/1.jpg"], 1)})).pairs
    assert pair[:2] == ("group 0", "group 4")
    assert [Path(path).name for path in pair.paths] == ["1.jpg", "x.jpg"]


def test_photos_of_the_same_names_count_together(ten, tmp_path):
    """One photo in common is not enough if the photos of all groups are named alike."""
    photos = {
        f"{group}/{name}.jpg": drawn(10 * group + number)
        for group, (number, name) in itertools.product(range(5), enumerate(("front", "left", "right")))
    }
    one = photos | {"4/left.jpg": photos["0/left.jpg"]}
    assert find(table_of(tmp_path / "one", one)) == ([], True, "")
    every = one | {f"4/{name}.jpg": photos[f"0/{name}.jpg"] for name in ("front", "right")}
    (pair,) = find(table_of(tmp_path / "every", every)).pairs
    assert pair[:2] == ("0", "4")


def test_the_most_alike_come_first_and_the_search_stops_somewhere(ten, tmp_path, monkeypatch):
    copies = {f"copy {number}.jpg": COPIES["brighter"](ten["3.jpg"]) for number in range(3)}
    table = own(table_of(tmp_path, ten | copies | {"near.jpg": COPIES["cropped by 2 %"](ten["3.jpg"])}))
    found = find(table)
    assert len(found.pairs) == 10  # of five photos
    assert found.limit == ""
    assert [pair.correlation for pair in found.pairs] == sorted(
        (p.correlation for p in found.pairs), reverse=True
    )
    assert "near.jpg" in found.pairs[-1]
    monkeypatch.setattr(near_duplicates, "MAX_PAIRS", 4)
    assert len(find(table).pairs) == 4
    assert find(table).limit == "the search stopped at 4 pairs: there are more"
    monkeypatch.setattr(near_duplicates, "MAX_PHOTOS", 5)
    assert find(table) == ([], False, "only the first 5 of 14 photos were compared")


@pytest.mark.parametrize("few", [0, 10**6])
def test_pairs_far_apart_in_a_large_set_are_found_once(few, ten, tmp_path, monkeypatch):
    photos = ten | {"x.jpg": ten["0.jpg"], "y.jpg": cv2.flip(ten["9.jpg"], 1), "z.jpg": ten["9.jpg"]}
    table = own(table_of(tmp_path, photos))
    monkeypatch.setattr(near_duplicates, "BLOCK", 3)
    monkeypatch.setattr(near_duplicates, "COLUMNS", 2)
    monkeypatch.setattr(near_duplicates, "FEW", few)
    found = find(table).pairs
    assert {pair[:2] for pair in found} == {
        ("0.jpg", "x.jpg"),
        ("9.jpg", "y.jpg"),
        ("9.jpg", "z.jpg"),
        ("y.jpg", "z.jpg"),
    }
    assert len(found) == 4


def test_no_photos_and_one_photo_have_no_duplicates(tmp_path):
    table = table_of(tmp_path, {"a.jpg": drawn(0)})
    assert find(table).pairs == []
    assert find(table.head(0)).pairs == []


def test_drawn_people_are_compared_by_the_names_of_their_photos(people):
    assert find(scan_train(people).table) == ([], True, "")
