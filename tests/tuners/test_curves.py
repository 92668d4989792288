import numpy as np
import pytest

from tuners.curves import predict_final


def curves(count, epochs=8, noise=0.01, seed=0):
    """Saturating curves of different heights and speeds."""
    rng = np.random.default_rng(seed)
    final, speed = rng.uniform(0.4, 0.8, count), rng.uniform(0.3, 0.9, count)
    ideal = final[:, None] * (1 - np.exp(-speed[:, None] * np.arange(1, epochs + 1)))
    return ideal + rng.normal(0, noise, (count, epochs))


def test_it_predicts_better_than_the_last_score_and_knows_how_well():
    known, others = curves(30), curves(200, seed=1)
    predicted = [predict_final(curve[:3], known, known[:, -1]) for curve in others]
    errors = np.array([mean for mean, _ in predicted]) - others[:, -1]
    assert np.sqrt(np.mean(errors**2)) < 0.5 * np.sqrt(np.mean((others[:, 2] - others[:, -1]) ** 2))
    variance = np.mean([variance for _, variance in predicted])
    assert variance == pytest.approx(np.mean(errors**2), rel=0.6)


def test_more_epochs_are_more_certain():
    known = curves(30)
    early, late = (predict_final(known[0][:epochs], known[1:], known[1:, -1])[1] for epochs in (1, 6))
    assert late < 0.2 * early


def test_with_few_finished_trainings_the_last_score_stands_for_the_final_one():
    known = curves(3)
    mean, variance = predict_final([0.1, 0.3], known, known[:, -1])
    assert mean == 0.3
    assert variance == pytest.approx(known[:, -1].var())
    assert predict_final([0.1, 0.3], [], []) == (0.3, 1.0)


def test_finished_trainings_that_are_no_longer_say_nothing():
    known = [curve[:3] for curve in curves(10)]
    assert predict_final([0.1, 0.2, 0.3], known, [0.5] * 10)[0] == 0.3


def test_equal_curves_are_no_error():
    assert predict_final([0.1, 0.2], [[0.1, 0.2, 0.4]] * 6, [0.4] * 6) == pytest.approx((0.4, 0))


def test_a_curve_unlike_the_finished_ones_is_predicted_with_less_certainty():
    rng = np.random.default_rng(0)
    finished = [np.cumsum(rng.uniform(0.05, 0.1, 6)) for _ in range(12)]
    finals = [curve[-1] for curve in finished]
    _, usual = predict_final(finished[0][:3], finished, finals)
    _, strange = predict_final([0.9, 0.5, 0.1], finished, finals)
    assert strange > 3 * usual
