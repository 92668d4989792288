"""What a choice did to a score, from pairs that differ in nothing else (the same seed, the same people)."""

from dataclasses import dataclass

import numpy as np
from scipy import stats

CONFIDENCE, POWER = 0.95, 0.8


@dataclass(frozen=True)
class Difference:
    """`mean` difference with its 95 % interval from `low` to `high` (Student's t), and `least`: the smallest
    true effect that so many pairs, scattered so, would have shown in 80 of 100 repetitions."""

    mean: float
    low: float
    high: float
    least: float


def paired(ours: np.ndarray, before: np.ndarray) -> Difference:
    """`ours` less `before`, each (pairs,), two pairs or more."""
    differences = np.asarray(ours) - np.asarray(before)
    freedom, error = len(differences) - 1, stats.sem(differences)
    half = stats.t.ppf((1 + CONFIDENCE) / 2, freedom) * error
    mean = float(differences.mean())
    return Difference(mean, mean - half, mean + half, half + stats.t.ppf(POWER, freedom) * error)
