import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from common.errors import UsageError
from dataset.face_masks.drawing.people import sample_groups, sample_person
from dataset.face_masks.drawing.portrait import portrait
from dataset.face_masks.drawing.synthetic import draw
from dataset.face_masks.labels import FACE_MASK, encode
from dataset.read import read_eval, read_train
from dataset.split import absent_classes, fold_of


def small(out: Path, seed: int = 0) -> Path:
    return draw(out, people=30, eval_people=6, folds=5, seed=seed, height=64, width=48)


def digest(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): hashlib.md5(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> Path:
    return small(tmp_path_factory.mktemp("drawn") / "set")


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes(drawn, tmp_path):
    assert digest(drawn) == digest(small(tmp_path / "again"))
    other = digest(small(tmp_path / "other", seed=1))
    assert not set(digest(drawn).values()) & {value for name, value in other.items() if name.endswith("g")}


def test_layout_is_the_competitions_and_every_fold_has_every_class(drawn):
    table = read_train(drawn).table
    assert len(table) == 30 * 7
    assert (table.drop_duplicates("group").groupby(["gender", "age_band"]).size() >= 5).all()
    fold = fold_of(table, 5, 0)
    assert all(absent_classes(table[fold == number], FACE_MASK) == [] for number in range(5))
    assert table["age"].between(18, 60).all()
    assert {Path(photo).suffix for photo in table["photo"]} <= {".jpg", ".jpeg", ".png"}


def test_eval_answers_lie_aside(drawn):
    info = pd.read_csv(drawn / "eval" / "info.csv")
    answers = pd.read_csv(drawn / "answers.csv")
    assert (info["ans"] == 0).all()
    assert list(answers.columns) == ["ImageID", "ans"]
    assert list(info["ImageID"]) == list(answers["ImageID"]) == list(read_eval(drawn)["photo"])
    assert sorted(answers["ans"].value_counts().to_dict().items()) == [
        (encode(mask, gender, band), 5 if mask == 0 else 1)
        for mask in range(3)
        for gender in range(2)
        for band in range(3)
    ]


def test_nothing_is_overwritten_and_no_half_set_stays(drawn, tmp_path, monkeypatch):
    before = digest(drawn)
    with pytest.raises(UsageError, match="already exists"):
        small(drawn)
    assert digest(drawn) == before
    monkeypatch.setattr("dataset.face_masks.drawing.synthetic.portrait", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        small(tmp_path / "broken")
    assert list(tmp_path.iterdir()) == []


def test_too_few_people_or_pixels_are_refused(tmp_path):
    with pytest.raises(UsageError, match="need 30"):
        draw(tmp_path / "x", people=29, folds=5)
    with pytest.raises(UsageError, match="need 6"):
        draw(tmp_path / "x", people=30, eval_people=2)
    with pytest.raises(UsageError, match="too small"):
        draw(tmp_path / "x", height=4, width=3)


def test_people_are_skewed_like_the_original():
    people = sample_groups(2700, 5, np.random.default_rng(0))
    genders, ages = (np.array(column) for column in zip(*people, strict=True))
    assert abs((genders == 1).mean() - 0.61) < 0.01
    assert abs((ages < 30).mean() - 0.475) < 0.01
    assert abs((ages == 60).mean() - 0.07) < 0.01
    assert ages.min() >= 18 and ages.max() == 60


@pytest.mark.parametrize("style", ["bald", "short", "bob", "long", "bun"])
def test_every_style_can_be_drawn(style):
    rng = np.random.default_rng(0)
    people = (sample_person(int(rng.integers(2)), int(rng.integers(18, 61)), rng) for _ in range(500))
    person = next(person for person in people if person.style == style)
    photos = [portrait(person, mask, 64, 48, np.random.default_rng(7)) for mask in range(3)]
    assert all(photo.shape == (64, 48, 3) and photo.dtype == np.uint8 for photo in photos)
    # The same stance, another mask: the lower half of the face differs, the top of the photo doesn't.
    assert np.abs(photos[0][30:].astype(int) - photos[2][30:]).mean() > 5
