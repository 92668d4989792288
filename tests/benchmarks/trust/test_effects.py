"""The benchmark of effects: its true effects are right, and it measures both ways."""

import numpy as np
import pytest

from benchmarks.trust.effects import measure, pairs, search, true_effect


def test_true_effects_by_hand():
    random = np.random.default_rng(0)
    table, scores = search(random, 500, learns=False)
    assert len(table) == len(scores) == 500
    rate = (np.log10(table["learning_rate"]) + 3).mean()
    light = 0.03 - 0.03 * (table["model"] == "d").mean()
    assert true_effect(table, "optimizer", "adam", "sgd", random) == pytest.approx(0.04 * rate)
    assert true_effect(table, "augment", "none", "light", random) == pytest.approx(light)
    effect, margin = pairs(table, scores, "augment", "none", "light")
    assert abs(effect - light) < 2 * margin


def test_both_ways_are_measured_on_the_same_effects():
    found = measure(60, True, 4)
    assert found.keys() == {"regression", "pairs"}
    for covered, margin in found.values():
        assert 0.5 < covered <= 1
        assert 0 < margin < 0.1
