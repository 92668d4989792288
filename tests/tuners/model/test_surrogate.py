"""What paused trainings end with, against a direct computation, and what starts cost."""

from dataclasses import replace

import numpy as np
import pytest

from tuners.model.gaussian_process import Posterior
from tuners.model.surrogate import DOUBT, Evidence, Kernels, Part, Paused, Surrogate
from tuners.spaces.space import Space

SPACE = Space({"x": {"_type": "uniform", "_value": [0, 1]}, "k": {"_type": "choice", "_value": ["a", "b"]}})


def evidence(noise):
    """Six finished trials and one that is paused, whose final score is predicted with this variance."""
    rng = np.random.default_rng(0)
    recipes = np.c_[rng.random(7), rng.integers(0, 2, 7)]
    scores = 0.5 + 0.2 * recipes[:, 0] + rng.normal(0, 0.02, 7)
    paused = Paused(6, recipes[6], 6, 0.5, float("nan"), Part(0.25, 0.0))
    nan, none = np.full(7, np.nan), np.empty((0, 2))
    no = np.zeros(7, bool)
    ended = np.arange(7) < 6
    return Evidence(recipes, scores, np.r_[np.zeros(6), noise], nan, none, ended, no, no, (paused,))


@pytest.mark.parametrize("noise", [1e-6, 0.0004, 0.01, 1.0])
def test_a_final_score_is_what_the_others_and_the_curve_say(noise):
    """y = f + nugget is the final score, y + noise is what the curve says of it; conditioned on both. The
    process doubts the curve more than a training of its own does."""
    known = evidence(noise)
    surrogate = Surrogate(SPACE, known, Kernels(SPACE.categories))
    process: Posterior = surrogate._scores
    covariance = process.variance * process.kernel.correlation(known.recipes, known.recipes)
    covariance += process.variance * (process.kernel.nugget + 1e-8) * np.eye(7)  # of the final scores
    observed = covariance + np.diag(known.noise / DOUBT)
    gain = covariance[6] @ np.linalg.inv(observed)
    mean = process.mean + gain @ (known.scores - process.mean)
    variance = covariance[6, 6] - gain @ covariance[6]
    ((found,), (deviation,)) = surrogate.finals(known.paused)
    assert found == pytest.approx(mean)
    assert deviation == pytest.approx(np.sqrt(variance), rel=1e-3)


def test_what_is_almost_finished_is_almost_certain():
    means, deviations = zip(*(Surrogate(SPACE, evidence(noise), Kernels(SPACE.categories)).finals(
        evidence(noise).paused) for noise in (1e-8, 1e-4, 1e-2)), strict=True)  # fmt: skip
    assert means[0][0] == pytest.approx(evidence(0.1).scores[6], abs=1e-3)
    assert deviations[0][0] < 1e-3 < deviations[1][0] < deviations[2][0]


def test_a_start_costs_what_it_takes_and_a_trial_that_runs_needs_none():
    known = replace(evidence(0.01), seconds=np.full(7, 10.0), first=Part(0.25, 50.0))
    (paused,) = known.paused
    kernels, new = Kernels(SPACE.categories), known.recipes[:1] + 0.01

    def values(start, of_paused):
        surrogate = Surrogate(SPACE, replace(known, start=start), kernels)
        ((own,), (other,)) = (
            surrogate.log_value_of([replace(paused, start=of_paused)]),
            surrogate.log_value(new),
        )
        return own, other

    running, new_without = values(0.0, 0.0)
    at_rest, new_with = values(20.0, 20.0)
    # Half a training (5 s) is left: with its start 25 s. What is new costs at most 20 s in 22.5 s more.
    assert running - at_rest == pytest.approx(np.log(25 / 5))
    assert new_without - new_with > np.log(2)
    assert values(20.0, 0.0)[0] == pytest.approx(running)
    whole = replace(known, first=None)
    without, with_start = (
        Surrogate(SPACE, replace(whole, start=start), kernels).log_value(new) for start in (0.0, 10.0)
    )
    assert without - with_start == pytest.approx(np.log(2), abs=1e-6)
