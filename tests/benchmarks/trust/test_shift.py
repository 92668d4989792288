"""The benchmark of shifts: what is planted is planted, and seen."""

import cv2
import numpy as np
import pytest

from analysis.trust.shift import measures_of
from benchmarks.trust.shift import CHANGES, NOTHING, darker, found, planted
from dataset.face_masks.drawing.synthetic import draw
from dataset.read import read_eval


def test_a_change_is_lossless_but_for_itself(people, tmp_path):
    photos = read_eval(people).head(3)
    same = planted(photos, lambda photo: photo, tmp_path)
    for one, other in zip(photos["path"], same["path"], strict=True):
        np.testing.assert_array_equal(cv2.imread(one), cv2.imread(other))
    before = measures_of(photos["path"])
    dark = measures_of(planted(photos, darker(0.2), tmp_path)["path"])
    assert dark["brightness"].to_numpy() == pytest.approx(0.8 * before["brightness"].to_numpy(), abs=0.1)
    for name, change in CHANGES.items():
        if change:
            changed = measures_of(planted(photos, change, tmp_path)["path"])
            assert (changed[["width", "height"]] == before[["width", "height"]]).all().all(), name
            assert (changed["sharpness"] != before["sharpness"]).any(), name


@pytest.mark.slow
def test_darker_photos_are_seen_and_the_second_time_not_looked_at_again(tmp_path, monkeypatch):
    data = draw(tmp_path / "set", people=40, eval_people=20, height=64, width=48)
    changes = {name: CHANGES[name] for name in (NOTHING, "20 % darker")}
    shifts = dict(found(data, tmp_path / "out", changes))
    assert not shifts[NOTHING].differs and shifts["20 % darker"].differs
    assert "brightness" in shifts["20 % darker"].notable
    monkeypatch.setattr("benchmarks.trust.shift.features_of", None)
    again = dict(found(data, tmp_path / "out", changes))
    assert again["20 % darker"].auc == pytest.approx(shifts["20 % darker"].auc, abs=1e-3)
