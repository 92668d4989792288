"""Effect of a choice on a score, from pairs that differ in nothing else (same seed, same people)."""

from dataclasses import dataclass

import numpy as np
from scipy import stats

CONFIDENCE, POWER = 0.95, 0.8


@dataclass(frozen=True)
class Difference:
    """`mean` difference with its 95 % interval from `low` to `high` (Student's t). `detectable`: the
    minimum detectable effect, which this number of pairs, with this spread, would show in 80 of 100
    repetitions."""

    mean: float
    low: float
    high: float
    detectable: float


def paired(ours: np.ndarray, before: np.ndarray) -> Difference:
    """Difference `ours` - `before`, each of shape (pairs,), two pairs or more."""
    differences = np.asarray(ours) - np.asarray(before)
    freedom, error = len(differences) - 1, stats.sem(differences)
    half = stats.t.ppf((1 + CONFIDENCE) / 2, freedom) * error
    mean = float(differences.mean())
    return Difference(mean, mean - half, mean + half, half + stats.t.ppf(POWER, freedom) * error)
