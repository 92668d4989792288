"""The decision layer for macro-F1: its multipliers against a direct search, and its nested estimate."""

from dataclasses import replace

import numpy as np
import pytest

from analysis.trust.bootstrap import resamples
from analysis.trust.decision import GRID, _scores, decide, fit, rare_sets
from common.errors import UsageError
from dataset.face_masks.labels import FACE_MASK
from dataset.task import Task
from tests.analysis.trust.drawn_answers import drawn
from trial.metrics import score
from trial.probabilities import tempered

RARE = rare_sets(FACE_MASK)


def macro_f1(labels, probabilities):
    return score(labels, probabilities.argmax(1), probabilities.shape[1]).macro_f1


def test_by_default_the_age_bands_have_two_multipliers():
    assert RARE == ((1, 4, 7, 10, 13, 16), (2, 5, 8, 11, 14, 17))
    species = Task(
        "photos", ("a x", "a y", "b x", "b y"), {"one": ("a", "b"), "two": ("x", "y")}, rare=(1, 3)
    )
    assert rare_sets(species) == ((1, 3),), "one for the rare value of a factor"
    assert rare_sets(replace(species, rare=(3,))) == ((3,),), "no value is rare altogether"
    assert rare_sets(Task("photos", tuple("abc"), rare=(2,))) == ((2,),)
    assert rare_sets(Task("photos", tuple("abc"))) == ()


def test_the_scores_of_all_multipliers_are_those_of_predictions_with_each():
    (probabilities,), labels, _ = drawn(20)
    rare = np.isin(np.arange(18), RARE[1])
    weights = np.random.default_rng(0).integers(0, 3, len(labels)).astype(float)
    own, other = (np.flatnonzero(part)[probabilities[:, part].argmax(1)] for part in (rare, ~rare))
    rows = np.arange(len(labels))
    needed = probabilities[rows, other] / probabilities[rows, own]
    at = np.searchsorted(GRID, needed, side="right")
    found = _scores(labels, own, other, at, weights, 18)
    repeated = np.repeat(rows, weights.astype(int))
    for multiplier, value in zip(GRID, found, strict=True):
        weighted = np.where(rare, multiplier * probabilities, probabilities)[repeated]
        assert value == pytest.approx(macro_f1(labels[repeated], weighted))


def test_one_bag_with_one_set_takes_the_best_multiplier_of_the_grid():
    (probabilities,), labels, groups = drawn(40, bias=1.5)
    decision = fit(probabilities, labels, groups, (RARE[1],), bags=1)
    times = resamples(40, 1, 0)[0][np.unique(groups, return_inverse=True)[1]].astype(int)
    rows, rare = np.repeat(np.arange(len(labels)), times), np.isin(np.arange(18), RARE[1])
    warm = tempered(probabilities, decision.temperature)[rows]
    every = [macro_f1(labels[rows], np.where(rare, value * warm, warm)) for value in GRID]
    mine = macro_f1(labels[rows], decision.apply(probabilities[rows]))
    assert mine == pytest.approx(max(every))
    assert decision.multipliers[~rare] == pytest.approx(1)


def test_a_network_that_avoids_rare_classes_is_mended_on_other_people():
    (probabilities,), labels, groups = drawn(200, bias=4.0, noise=0.5)
    found = decide(probabilities, labels, groups, FACE_MASK)
    assert found.free == 2 and found.is_worth_it
    assert found.decision.multipliers[2] > 2
    (others,), truth, _ = drawn(2000, seed=9, bias=4.0, noise=0.5)
    gain = macro_f1(truth, found.decision.apply(others)) - macro_f1(truth, others)
    assert gain > 0.02 and found.gain.low <= gain <= found.gain.high
    assert "gains +0." in found.words()


def test_without_a_bias_little_is_changed_and_no_gain_claimed():
    (probabilities,), labels, groups = drawn(100, seed=2, noise=0.5)
    found = decide(probabilities, labels, groups, FACE_MASK)
    assert not found.is_worth_it
    (others,), truth, _ = drawn(2000, seed=3, noise=0.5)
    assert macro_f1(truth, found.decision.apply(others)) > macro_f1(truth, others) - 0.01


@pytest.mark.slow
def test_more_multipliers_are_free_only_where_they_gain():
    (probabilities,), labels, groups = drawn(200, noise=0.5)
    probabilities = probabilities * np.where(np.isin(np.arange(18), (9, 12)), 0.02, 1)  # they are no set
    found = decide(probabilities / probabilities.sum(1, keepdims=True), labels, groups, FACE_MASK)
    assert found.free == 18
    assert found.decision.multipliers[9] / found.decision.multipliers[10] > 2


def test_the_temperature_mends_the_calibration():
    (probabilities,), labels, groups = drawn(100, noise=0.5)
    found = decide(tempered(probabilities, 0.3), labels, groups, FACE_MASK)
    before, after = found.calibration
    assert after < 0.07 < before


def test_too_few_groups_or_nothing_rare_among_many_classes_is_refused():
    (probabilities,), labels, groups = drawn(1)
    with pytest.raises(UsageError, match="2 groups or more"):
        decide(probabilities, labels, groups, FACE_MASK)
    many = Task("photos", tuple(map(str, range(50))))
    with pytest.raises(UsageError, match="no class is rare"):
        decide(np.full((4, 50), 0.02), np.arange(4), np.arange(4).astype(str), many)
