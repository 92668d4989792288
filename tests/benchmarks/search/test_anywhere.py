"""Any point of a space has a curve, near the recorded ones."""

import numpy as np
import pytest

from benchmarks.search import anywhere
from benchmarks.search.anywhere import NOISE, POOR, Anywhere, scores


def final(answers, params):
    return answers.curves.others[answers.nearest(params)].max()


def test_a_recorded_recipe_has_a_curve_of_its_form_its_seconds_and_the_same_noise_each_time():
    recorded = anywhere._recorded()
    answers = Anywhere(recorded)
    params = answers.space.params(recorded.points[recorded.default])
    first, second = answers.nearest(params), answers.nearest(params)
    assert (first, second) == (0, 1), "a recipe of its own for each trial"
    curves = answers.curves
    recorded_curve = recorded.scores[recorded.default]
    ratio = curves.others[0].max() / recorded_curve.max()
    np.testing.assert_allclose(curves.others[0], ratio * recorded_curve, atol=1e-6)
    np.testing.assert_allclose(curves.seconds[0], recorded.seconds[recorded.default], rtol=1e-6)
    np.testing.assert_array_equal(curves.scores[0], curves.scores[1])
    assert 0 < abs(curves.scores[0] - curves.others[0]).max() < 5 * NOISE
    told = Anywhere(recorded, scale=0.5)
    assert told.nearest(params) == 0
    np.testing.assert_allclose(told.curves.scores[0], curves.scores[0] / 2)
    np.testing.assert_array_equal(told.curves.others[0], curves.others[0])


@pytest.mark.slow
def test_good_recipes_are_as_frequent_as_recorded_ones():
    recorded = anywhere._recorded()
    answers = Anywhere(recorded)
    rows = answers.space.draw(np.random.default_rng(7), 150)
    finals = np.array([final(answers, answers.space.at(row)) for row in rows])
    for score in (0.1, 0.2, 0.3):
        assert (finals > score).mean() == pytest.approx((recorded.final > score).mean(), abs=0.07)


def test_the_default_is_a_poor_recipe_another_one_for_each_seed():
    answers = Anywhere(anywhere._recorded())
    one, again, other = (anywhere.default(seed) for seed in (0, 0, 1))
    assert one == again != other
    for point in (one, other):
        params = answers.space.params(point)
        assert POOR[0] <= final(answers, params) <= POOR[1]


def test_a_search_begins_with_the_default_and_never_gets_worse(monkeypatch):
    monkeypatch.setattr(anywhere, "TRAININGS", (1, 3, 6))
    found = scores("random", 0)
    assert found[1] >= POOR[0]
    assert sorted(found[1:]) == found[1:]
