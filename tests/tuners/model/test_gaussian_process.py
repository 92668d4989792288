import math

import numpy as np
import pytest
from scipy import linalg, stats
from scipy.integrate import quad
from scipy.optimize import check_grad

from tuners.model import gaussian_process
from tuners.model.gaussian_process import (
    SCORES,
    Kernel,
    Posterior,
    fit,
    log_expected_improvement,
    log_improvement_rate,
    similarity,
)

OFF = np.nan
CATEGORIES = np.array([True, False, False])  # a category; a number; a number that only some recipes have
KERNEL = Kernel(CATEGORIES, np.array([0.5, 1.0, 2.0]), 0.1)


def recipes(count, seed=0):
    rng = np.random.default_rng(seed)
    rows = np.column_stack([rng.integers(3, size=count), rng.random(count), rng.random(count)]).astype(float)
    rows[rows[:, 0] != 1, 2] = OFF
    return rows


def direct_correlation(one, other):
    """Recipe by recipe, as the module's docstring says."""
    product = 1.0
    for p, theta in enumerate(KERNEL.theta):
        a, b = one[p], other[p]
        if math.isnan(a) or math.isnan(b):
            alike = float(math.isnan(a) and math.isnan(b))
        elif CATEGORIES[p]:
            alike = float(a == b)
        else:
            alike = 1 / (1 + ((a - b) / 0.5) ** 2)
        product *= math.exp(-theta) + (1 - math.exp(-theta)) * alike
    return product


def test_similarities_of_nested_parameters():
    number = np.array([0.0, 0.5, OFF])
    assert similarity(number, number, False) == pytest.approx(np.array([[1, 0.5, 0], [0.5, 1, 0], [0, 0, 1]]))
    category = np.array([0.0, 2.0, OFF])
    assert (similarity(category, category, True) == np.eye(3)).all()


def test_the_correlation_is_positive_definite_and_that_of_the_docstring():
    rows, others = recipes(30), recipes(7, seed=1)
    expected = [[direct_correlation(one, other) for other in others] for one in rows]
    assert KERNEL.correlation(rows, others) == pytest.approx(np.array(expected))
    assert linalg.eigvalsh(KERNEL.correlation(rows, rows)).min() > -1e-12


@pytest.mark.parametrize("noisy", [False, True])
def test_the_posterior_is_that_of_a_direct_computation(noisy):
    rows, others, scores = recipes(12), recipes(5, seed=1), np.random.default_rng(2).normal(0.6, 0.1, 12)
    noise = np.random.default_rng(3).random(12) * 0.01 * noisy
    posterior = Posterior(KERNEL, rows, scores, noise, mean=0.55, variance=0.02)
    covariance = 0.02 * (
        KERNEL.correlation(rows, rows) + (0.1 + gaussian_process.JITTER) * np.eye(12)
    ) + np.diag(noise)
    across = 0.02 * KERNEL.correlation(rows, others)
    mean = 0.55 + across.T @ linalg.inv(covariance) @ (scores - 0.55)
    variance = 0.02 - np.diag(across.T @ linalg.inv(covariance) @ across)
    assert posterior.at(others)[0] == pytest.approx(mean)
    assert posterior.at(others)[1] == pytest.approx(np.sqrt(variance))
    assert posterior.mean_at(others) == pytest.approx(mean)


def test_the_mean_is_generalised_least_squares_and_the_variance_its_residuals():
    rows, scores = recipes(12), np.random.default_rng(2).normal(0.6, 0.1, 12)
    posterior = Posterior(KERNEL, rows, scores)
    inverse = linalg.inv(KERNEL.correlation(rows, rows) + (0.1 + gaussian_process.JITTER) * np.eye(12))
    mean = np.ones(12) @ inverse @ scores / inverse.sum()
    assert posterior.mean == pytest.approx(mean)
    # Two more scores of deviation .1 are the prior.
    assert posterior.variance == pytest.approx(
        ((scores - mean) @ inverse @ (scores - mean) + 2 * 0.1**2) / 14
    )


def test_believing_changes_no_mean_and_lowers_the_deviation():
    rows, scores, others = recipes(12), np.random.default_rng(2).normal(0.6, 0.1, 12), recipes(6, seed=1)
    posterior = Posterior(KERNEL, rows, scores)
    believed = posterior.believing(others[:2])
    assert believed.at(others)[0] == pytest.approx(posterior.at(others)[0], abs=1e-6)
    assert (believed.at(others)[1] < posterior.at(others)[1]).all()
    assert (believed.at(others[:2])[1] < 0.6 * posterior.at(others[:2])[1]).all()


def test_scores_that_happen_to_be_close_make_it_certain_of_nothing():
    rows = recipes(3)
    deviation = Posterior(SCORES.kernel(CATEGORIES), rows, np.array([0.61, 0.61, 0.612])).at(
        recipes(50, seed=1)
    )[1]
    assert deviation.max() > 0.01


@pytest.mark.parametrize("mean", [-0.3, 0.0, 0.4, 0.5, 0.6])
def test_expected_improvement_is_the_integral(mean):
    def improvement(score):
        return max(0, score - 0.5) * stats.norm.pdf(score, mean, 0.1)

    expected = quad(improvement, 0.5, mean + 1.5, epsabs=0, epsrel=1e-10)[0]
    assert log_expected_improvement(np.array([mean]), np.array([0.1]), 0.5)[0] == pytest.approx(
        math.log(expected), rel=1e-6
    )


def test_expected_improvement_keeps_its_order_far_below_the_best():
    values = log_expected_improvement(np.linspace(-50, 1, 2000), np.full(2000, 0.01), 0.5)
    assert np.isfinite(values).all()
    assert (np.diff(values) > 0).all()
    wider = log_expected_improvement(np.zeros(2), np.array([0.001, 0.002]), 0.5)
    assert wider[0] < wider[1]


def test_the_slope_of_the_fit(monkeypatch):
    """The optimiser's gradient against differences."""
    seen = []
    monkeypatch.setattr(
        gaussian_process, "minimize", lambda cost, start, **kw: seen.append((cost, start)) or _At(start)
    )
    rows, scores = recipes(15), np.random.default_rng(1).normal(0.6, 0.1, 15)
    fit(rows, scores, CATEGORIES)
    cost, start = seen[0]
    for shift in (0, 1, -1):
        assert check_grad(lambda x: cost(x)[0], lambda x: cost(x)[1], start + shift) < 1e-4


class _At:
    def __init__(self, x):
        self.x = x


def test_the_fit_finds_what_matters():
    rng = np.random.default_rng(0)
    rows = np.column_stack([rng.integers(3, size=80), rng.random(80), rng.random(80)]).astype(float)
    scores = 0.5 + 0.2 * np.sin(4 * rows[:, 1]) + rng.normal(0, 0.005, 80)
    theta = fit(rows, scores, CATEGORIES).theta
    assert theta[1] > 5 * max(theta[0], theta[2])


def test_the_fit_of_noise_is_noise():
    rows, scores = recipes(80), np.random.default_rng(1).normal(0.6, 0.1, 80)
    kernel = fit(rows, scores, CATEGORIES)
    means = Posterior(kernel, rows, scores).mean_at(rows)
    assert means.std() < 0.5 * scores.std()


def rate(mean, deviation, best, precision, fraction, left):
    given = (np.array([value]) for value in (mean, deviation))
    parts = (np.array([value]) for value in (precision, fraction, left))
    return float(np.exp(log_improvement_rate(*given, best, *parts)[0]))


@pytest.mark.parametrize("mean", [0.25, 0.3, 0.4])
def test_the_rate_of_improvement_is_that_of_the_best_limit_in_a_simulation(mean):
    """A training is given up after a quarter if it looks worse than a limit."""
    deviation, noise, best, fraction = 0.1, 0.05, 0.35, 0.25
    rng = np.random.default_rng(0)
    final = rng.normal(mean, deviation, 400_000)
    looks = final + rng.normal(0, noise, len(final))
    improvement = np.maximum(final - best, 0)
    order = np.argsort(-looks)
    going_on = np.arange(1, len(final) + 1) / len(final)  # the fraction that a limit lets go on
    rates = np.cumsum(improvement[order]) / len(final) / (fraction + (1 - fraction) * going_on)
    found = rate(mean, deviation, best, 1 / noise**2, fraction, 1.0)
    assert found == pytest.approx(rates.max(), rel=0.06)
    assert found > 1.2 * improvement.mean(), "more than if all were trained to their ends"


def test_what_shows_nothing_or_is_the_last_part_is_paid_in_full():
    improvement = float(np.exp(log_expected_improvement(np.array(0.3), np.array(0.1), 0.35)))
    assert rate(0.3, 0.1, 0.35, 0.0, 0.25, 1.0) == pytest.approx(improvement)
    assert rate(0.3, 0.1, 0.35, 0.0, 0.5, 0.5) == pytest.approx(2 * improvement)
