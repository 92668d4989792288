"""Adversarial validation: nothing is seen between halves of one place, a darker half is."""

import cv2
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from analysis.__main__ import app
from analysis.audit.halves import shift_between
from analysis.trust.shift import _auc, measures_of, shift_of
from common.errors import UsageError
from dataset.face_masks.drawing.synthetic import draw
from tests.analysis.fake_run import untrained
from tests.conftest import call


def photos(groups, brightness, seed):
    """(Features, groups, measures) of groups with five photos each."""
    rng = np.random.default_rng(seed)
    row = np.arange(groups).repeat(5)
    features = rng.normal(size=(groups, 30))[row] + 0.3 * rng.normal(size=(len(row), 30))
    light = brightness + 10 * rng.normal(size=groups)[row] + 3 * rng.normal(size=len(row))
    features[:, 0] += light / 10
    measures = pd.DataFrame({"brightness": light, "contrast": rng.normal(50, 5, len(row)), "width": 48})
    return features, row, measures


def test_the_area_is_scikit_learns_and_its_interval_is_over_groups():
    rng = np.random.default_rng(0)
    row = np.arange(40).repeat(5)
    train, other = rng.normal(size=40)[row].round(1), (0.5 + rng.normal(size=100)).round(1)
    each = np.arange(100)
    found = _auc(train, row, other, each)
    truth = np.repeat([0, 1], [200, 100])
    assert found.value == pytest.approx(roc_auc_score(truth, np.concatenate([train, other])))
    assert found.low < found.value < found.high
    alone = _auc(train, np.arange(200), other, each)
    assert found.high - found.low > 1.15 * (alone.high - alone.low)
    other = (0.5 + rng.normal(size=20)[row[:100]]).round(1)  # photos to predict of 20 people
    alone, both = (_auc(train, row, other, its) for its in (each, row[:100]))
    assert both.high - both.low > 1.15 * (alone.high - alone.low)


def test_people_of_eval_are_not_remembered_if_they_are_known():
    train, row, measures = photos(30, 120, 0)
    its, its_row, its_measures = photos(12, 120, 1)
    both = (train, its), row, (measures, its_measures)
    unknown, same = shift_of(*both), shift_of(*both, np.full(len(its), ""))
    assert same.auc == unknown.auc and same.reference == unknown.reference
    known = shift_of(*both, its_row.astype(str))
    assert known.reference < unknown.reference - 0.1 and known.auc.value < unknown.auc.value - 0.1
    partly = shift_of(*both, np.where(its_row < 6, "", its_row.astype(str)))
    assert known.auc.value < partly.auc.value and partly.reference == unknown.reference


@pytest.mark.slow
def test_halves_of_one_place_are_not_told_apart_and_darker_photos_are():
    train, row, measures = photos(150, 120, 0)
    alike, _, its = photos(60, 120, 1)
    found = shift_of((train, alike), row, (measures, its))
    assert not found.differs and found.lines()[1].startswith("so no shift is seen")
    dark, _, its = photos(60, 100, 2)
    found = shift_of((train, dark), row, (measures, its))
    assert found.differs and found.auc.value > 0.8
    lines = found.lines()
    assert lines[1].startswith("so they clearly differ")
    assert [line for line in lines if "augment" in line] == [
        "brightness: the light differs: augment brightness and contrast, and look at the photos"
    ]
    brightness = found.measures.loc["brightness"]
    assert brightness["high"] < 0.3 and brightness["eval"] < brightness["train"] - 10
    assert found.measures.loc["width"][["auc", "low", "high"]].tolist() == [0.5, 0.5, 0.5]


@pytest.mark.parametrize(
    ("sizes", "others"),
    [([5] * 4, 12), ([1] * 4, 10), ([7] * 5, 10), ([1] * 27 + [150] * 3, 20), ([150] * 2 + [1] * 2, 20)],
)
def test_sets_that_are_small_or_uneven_are_compared_too(sizes, others):
    """Each part that a classifier is fitted to must have photos of both halves."""
    rng = np.random.default_rng(0)
    row = np.repeat(np.arange(len(sizes)), sizes)
    features = rng.normal(size=(len(row), 8)), rng.normal(size=(others, 8))
    measures = [pd.DataFrame({"brightness": rng.normal(size=len(half))}) for half in features]
    shift_of(features, row, (measures[0], measures[1]), np.array(["a", "b"] * (others // 2)))
    found = shift_of(features, row, (measures[0], measures[1]))
    assert 0 <= found.auc.low <= found.auc.value <= found.auc.high <= 1 and 0 <= found.reference <= 1


def test_measures_are_those_of_the_pixels(tmp_path):
    grey = np.full((40, 60, 3), 100, np.uint8)
    noisy = grey + np.random.default_rng(0).integers(0, 50, grey.shape, dtype=np.uint8)
    paths = [str(tmp_path / name) for name in ("grey.png", "noisy.png")]
    for path, pixels in zip(paths, (grey, noisy), strict=True):
        cv2.imwrite(path, pixels)
    one, other = (row for _, row in measures_of(paths).iterrows())
    assert (one["brightness"], one["contrast"], one["sharpness"]) == (100, 0, 0)
    assert (one["width"], one["height"]) == (60, 40)
    assert other["brightness"] > 110 and other["contrast"] > 3 and other["sharpness"] > 5


@pytest.mark.slow
def test_the_command_says_what_differs(tmp_path):
    data = draw(tmp_path / "set", people=30, height=64, width=48)
    run = tmp_path / "run"
    untrained(run, values={"data": str(data)})
    for path in (data / "eval" / "images").iterdir():
        cv2.imwrite(str(path), cv2.GaussianBlur(cv2.imread(str(path)), (0, 0), 2))
    result = call(app, "shift", data, "--run", run)
    assert result.exit_code == 0 and "so they clearly differ" in result.stdout
    assert "sharpness: the sharpness differs" in result.stdout
    for path in sorted((data / "eval" / "images").iterdir())[3:]:
        path.unlink()
    lines = (data / "eval" / "info.csv").read_text().splitlines()
    kept = [line for line in lines[1:] if (data / "eval" / "images" / line.partition(",")[0]).exists()]
    (data / "eval" / "info.csv").write_text("\n".join([lines[0], *kept]) + "\n")
    with pytest.raises(UsageError, match="has 3 photos to predict; 10 or more are needed"):
        shift_between(data, run)


def test_too_few_groups_are_refused(tmp_path):
    """Half of them stand for photos to predict: a classifier needs two on the other side."""
    for half, names in (("train", "abc"), ("eval", "def")):
        for number in range(12):
            folder = tmp_path / half / ("cat", "dog")[number % 2]
            folder.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(
                str(folder / f"{names[number % 3]}_{number}.png"), np.full((8, 8, 3), number, np.uint8)
            )
    with pytest.raises(UsageError, match="has photos of 3 groups to train on; 4 or more are needed"):
        shift_between(tmp_path, None, "/([a-z]+)_")
