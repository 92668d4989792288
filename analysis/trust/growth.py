"""What a recipe's score gains by more groups to train on: by its learning curve, from two points of it.

The error, which is 1 minus the score, or the log loss, is taken to fall by a power of the number of groups,
as learning curves do (Hestness et al. 2017, "Deep learning scaling is predictable, empirically"): each step
by the same ratio of groups makes it smaller by the same ratio.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from analysis.trust.answers import Counts
from analysis.trust.bootstrap import BOUNDS, Interval, intervals_by, observed
from analysis.trust.leaders import OF_TRIAL
from trial.metrics import column_of


def gain(counts: Counts, metric: str, power: float) -> Interval:
    """What a score gains by more groups to train on. `counts`: of the answers of two recipes, the trial and
    the same trained on fewer groups; they are paired.

    `power`: the logarithm of the ratio of the groups to come to those of the trial, divided by that of the
    trial's to the fewer ones.
    """
    _, top = BOUNDS[metric]

    def gained(scores: np.ndarray) -> np.ndarray:
        error, of_smaller = (top - scores).T
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(of_smaller > 0, error / of_smaller, 1.0)  # without an error, none is known
        return (error * (1 - ratio**power))[:, None]

    value, none = gained(observed(counts, metric)[None])[0], np.zeros(1)
    return intervals_by(gained, value, counts, metric, (none, none), (-np.inf, np.inf))[0]


def grown(
    promise: Mapping[str, Any], gained: Interval, metric: str, curve: Mapping[str, Any]
) -> dict[str, Any]:
    """The promise of a trial (`promise_of`) with what is `gained` by more groups; OF_TRIAL is that
    without. The limits are added up, as both errors may go the same way. `curve`: how it was measured."""
    column, bounds = column_of(metric), BOUNDS[metric]
    moved = {
        name: round(float(np.clip(promise[name] + by, *bounds)), 4)
        for name, by in ((column, gained.value), ("low", gained.low), ("high", gained.high))
    }
    measured = {**curve, **gained.facts("gain")}
    return {**promise, **moved, OF_TRIAL: dict(promise), "learning_curve": measured}
