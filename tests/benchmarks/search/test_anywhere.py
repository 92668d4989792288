"""Any point of a space has a curve, near the recorded ones."""

import numpy as np

from benchmarks.search import anywhere
from benchmarks.search.anywhere import NOISE, Anywhere, scores


def test_a_recorded_recipe_has_its_recorded_curve_and_the_same_noise_each_time():
    recorded = anywhere._recorded()
    answers = Anywhere(recorded)
    params = answers.space.params(recorded.points[recorded.default])
    first, second = answers.nearest(params), answers.nearest(params)
    assert (first, second) == (0, 1), "a recipe of its own for each trial"
    curves = answers.curves
    np.testing.assert_allclose(curves.others[0], recorded.scores[recorded.default], atol=1e-6)
    np.testing.assert_allclose(curves.seconds[0], recorded.seconds[recorded.default], rtol=1e-6)
    np.testing.assert_array_equal(curves.scores[0], curves.scores[1])
    assert 0 < abs(curves.scores[0] - curves.others[0]).max() < 5 * NOISE


def test_a_search_begins_with_the_default_and_never_gets_worse(monkeypatch):
    monkeypatch.setattr(anywhere, "TRAININGS", (1, 3, 6))
    found = scores("random", 0)
    recorded = anywhere._recorded()
    assert found[1] >= recorded.scores[recorded.default].max() - 1e-6
    assert sorted(found[1:]) == found[1:]
