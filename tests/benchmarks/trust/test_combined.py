"""The benchmark of combinations and decisions, on drawn answers."""

import numpy as np
import pytest

from analysis.predict.vote import WAYS
from benchmarks.trust import combined
from dataset.face_masks.labels import FACE_MASK
from tests.analysis.trust.drawn_answers import drawn


def test_people_are_dealt_whole_and_each_is_to_fit_once_in_three_deals():
    _, labels, groups = drawn(30)
    dealt = list(combined.deals(labels, groups, 6))
    assert (np.sum(dealt[:3], 0) == 1).all() and (np.sum(dealt[3:], 0) == 1).all()
    for fit in dealt:
        assert not set(groups[fit]) & set(groups[~fit])


def test_what_is_seen_is_of_the_people_that_nothing_was_fitted_to():
    members, labels, groups = drawn(45, noise=2.0, members=2)
    (fit,) = combined.deals(labels, groups, 1)
    found = combined.combinations(members, labels, groups, fit)
    assert set(found) == {*WAYS, combined.TAKEN, "best nested"}
    soft = np.mean(members, 0)
    assert found["soft"].seen == pytest.approx(combined.macro_f1(labels[~fit], soft[~fit]))
    best = max(members, key=lambda one: combined.macro_f1(labels[fit], one[fit]))
    assert found["soft"].gain == pytest.approx(
        found["soft"].seen - combined.macro_f1(labels[~fit], best[~fit])
    )
    assert found["stacking"].fitted > found["stacking"].nested
    assert "stacking" in combined.text([found])


def test_decisions_are_seen_on_other_people_and_the_temperature_mends_their_calibration():
    (probabilities,), labels, groups = drawn(45, bias=4.0, noise=0.5)
    (fit,) = combined.deals(labels, groups, 1)
    found = combined.decisions(probabilities, labels, groups, fit, FACE_MASK)
    plain = combined.macro_f1(labels[~fit], probabilities[~fit])
    for way, outcome in found.items():
        assert outcome.seen == pytest.approx(plain + outcome.gain), way
    sharp = probabilities**3 / (probabilities**3).sum(1, keepdims=True)
    before, after = combined.calibrations(sharp, labels, fit)
    assert after < before
