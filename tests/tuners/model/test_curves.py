import tracemalloc

import numpy as np
import pytest

from tuners.model.curves import FinalScores, _fit, raised, stint_ends


@pytest.mark.parametrize(
    ("epochs", "ends"),
    [(1, []), (2, [1]), (3, [1, 2]), (4, [1, 2, 3]), (8, [2, 4, 6]), (10, [3, 5, 8]), (30, [8, 15, 23])],
)
def test_stints_are_quarters(epochs, ends):
    assert stint_ends(epochs) == ends


def test_scores_far_below_the_others_are_raised_where_they_have_no_lower_end():
    low = [[-1.2, -0.6], [-1.0, -0.5], [-9.0, -12.0], [-1.1]]
    assert raised(low, [-0.6, -0.5, -12.0]) == (
        [[-1.2, -0.6], [-1.0, -0.5], [pytest.approx(-1.6), pytest.approx(-0.9)], [-1.1]],
        [-0.6, -0.5, pytest.approx(-0.9)],
    )
    fractions = [[0.5, 0.6], [0.5, 0.7], [0.0, 0.0]]
    assert raised(fractions, [0.6, 0.7, 0.0]) == (fractions, [0.6, 0.7, 0.0])


def curves(count, epochs=8, noise=0.01, seed=0):
    """Saturating curves of different heights and speeds."""
    rng = np.random.default_rng(seed)
    final, speed = rng.uniform(0.4, 0.8, count), rng.uniform(0.3, 0.9, count)
    ideal = final[:, None] * (1 - np.exp(-speed[:, None] * np.arange(1, epochs + 1)))
    return ideal + rng.normal(0, noise, (count, epochs))


def predict(curve, finished, finals):
    (mean,), (variance,) = FinalScores(finished, finals).predict([curve])
    return mean, variance


def test_it_predicts_better_than_the_last_score_and_knows_how_well():
    known, others = curves(30), curves(200, seed=1)
    means, variances = FinalScores(known, known[:, -1]).predict(others[:, :3])
    errors = means - others[:, -1]
    assert np.sqrt(np.mean(errors**2)) < 0.5 * np.sqrt(np.mean((others[:, 2] - others[:, -1]) ** 2))
    assert np.mean(variances) == pytest.approx(np.mean(errors**2), rel=0.6)


def test_more_epochs_are_more_certain():
    known = curves(30)
    early, late = (predict(known[0][:epochs], known[1:], known[1:, -1])[1] for epochs in (1, 6))
    assert late < 0.2 * early


def test_as_long_as_none_has_finished_the_last_score_stands_for_the_final_one():
    mean, variance = predict([0.1, 0.3], [[0.1, 0.3]], [np.nan])
    assert mean == 0.3
    assert 0.02 < np.sqrt(variance) < 0.2, "what is gained is open"


def test_one_finished_training_says_how_much_is_still_gained():
    known = [[0.1, 0.2, 0.3, 0.4]]
    assert predict([0.15, 0.25], known, [0.4])[0] == pytest.approx(0.45)


def test_trainings_paused_early_count():
    """Only the promising ones were finished: what they gained is far too much for the others."""
    finished = [[0.2, 0.3, 0.4, 0.5], [0.22, 0.32, 0.42, 0.52]]
    paused = [[0.02, 0.03], [0.03, 0.03], [0.04, 0.05], [0.03, 0.04]]
    finals = [0.5, 0.52]
    alone, _ = predict([0.03], finished, finals)
    together, _ = predict([0.03], [*finished, *paused], [*finals, *[np.nan] * 4])
    assert together < alone - 0.05


def test_one_step_is_a_ridge_regression_computed_directly():
    """Two epochs left to none: the gain from the last epoch to the final score, which is never known better."""
    rng = np.random.default_rng(0)
    known = rng.uniform(0.2, 0.6, (40, 4))
    finals = known[:, -1] + 0.1 + 0.3 * (known[:, -1] - 0.4) + rng.normal(0, 0.02, 40)
    inputs = np.stack([known[:, 3], known[:, 3] - known[:, 2]], 1)
    centred, gains = inputs - inputs.mean(0), finals - known[:, 3]
    ridge = centred.T @ centred + 0.02**2 / 0.4**2 * np.eye(2)
    slopes = np.linalg.solve(ridge, centred.T @ (gains - gains.mean()))
    curve = [0.3, 0.4, 0.3, 0.5]
    expected = 0.5 + gains.mean() + (np.array([0.5, 0.2]) - inputs.mean(0)) @ slopes
    mean, variance = predict(curve, known, finals)
    assert mean == pytest.approx(expected, abs=0.002)
    assert np.sqrt(variance) == pytest.approx(0.02, rel=0.3)


def test_trainings_of_different_lengths_are_predicted_in_their_order():
    known = curves(12)
    some = [known[0][:2], known[1][:6], known[2][:2]]
    together = FinalScores(known, known[:, -1]).predict(some)
    one_by_one = [predict(curve, known, known[:, -1]) for curve in some]
    assert np.allclose(np.transpose(together), one_by_one)


def test_equal_curves_are_no_error():
    mean, variance = predict([0.1, 0.2], [[0.1, 0.2, 0.4]] * 6, [0.4] * 6)
    assert mean == pytest.approx(0.4)
    assert np.sqrt(variance) < 0.05


def test_a_curve_unlike_the_others_is_predicted_with_less_certainty():
    rng = np.random.default_rng(0)
    finished = [np.cumsum(rng.uniform(0.05, 0.1, 6)) for _ in range(12)]
    finals = [curve[-1] for curve in finished]
    _, usual = predict(finished[0][:3], finished, finals)
    _, strange = predict([0.9, 0.5, 0.1], finished, finals)
    assert strange > 3 * usual


def test_the_memory_of_a_regression_grows_with_the_curves_not_with_their_square():
    rng = np.random.default_rng(0)
    inputs, gains = rng.normal(0, 0.1, (5_000, 2)), rng.normal(0, 0.1, 5_000)
    tracemalloc.start()
    try:
        _fit(inputs, gains, 0.01)
        assert tracemalloc.get_traced_memory()[1] < 100 * len(gains)
    finally:
        tracemalloc.stop()
