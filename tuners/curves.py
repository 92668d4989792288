"""The final score that a learning curve leads to, predicted from the curves of finished trainings."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MIN_CURVES = 4  # of finished trainings; with fewer the last score stands for the final one
PENALTY = 0.1  # of the ridge regression, on standardised inputs, in units of a curve


def predict_final(
    curve: Sequence[float], finished: Sequence[Sequence[float]], finals: Sequence[float]
) -> tuple[float, float]:
    """Mean and variance of the final score of a training with the scores `curve`, one for each epoch so far;
    see FinalScores."""
    return FinalScores(finished, finals).predict(curve)


class FinalScores:
    """Predicts final scores from the `finished` curves, whose final scores are `finals`.

    A ridge regression of (final - y_t) on (1, y_t, y_t - y_(t-1)), where t is the last epoch of a curve, over
    the finished curves that are longer. The variance is the mean square of the leave-one-out residuals, more
    for a curve unlike the finished ones (1 + its leverage): chained regressions from epoch to epoch, or the
    recipe as an input, are overconfident. Gains are predicted, not scores: with few curves the prediction
    falls back on the mean gain.
    """

    def __init__(self, finished: Sequence[Sequence[float]], finals: Sequence[float]):
        self._lengths = np.array([len(curve) for curve in finished], int)
        self._finals = np.array(finals, float)
        self._scores = np.full((len(finished), max(self._lengths, default=0)), np.nan)
        for row, curve in zip(self._scores, finished, strict=True):
            row[: len(curve)] = curve
        self._fitted: dict[int, _Regression] = {}  # by epoch

    def predict(self, curve: Sequence[float]) -> tuple[float, float]:
        """Mean and variance of the final score of a training with the scores `curve` so far."""
        epoch = len(curve)
        if (self._lengths > epoch).sum() < MIN_CURVES:
            return float(curve[-1]), float(np.var(self._finals)) if len(self._finals) > 1 else 1.0
        if epoch not in self._fitted:
            longer = self._lengths > epoch
            self._fitted[epoch] = _fit(self._scores[longer, :epoch], self._finals[longer])
        return self._fitted[epoch].predict(np.array(curve[-2:], float))


@dataclass(frozen=True)
class _Regression:
    centre: np.ndarray
    scale: np.ndarray
    inverse: np.ndarray
    weights: np.ndarray
    gain: float
    variance: float
    count: int

    def predict(self, curve: np.ndarray) -> tuple[float, float]:
        here = (_inputs(curve[None])[0] - self.centre) / self.scale
        unlike = 1 + 1 / self.count + here @ self.inverse @ here
        return float(curve[-1] + self.gain + here @ self.weights), float(self.variance * unlike)


def _fit(scores: np.ndarray, finals: np.ndarray) -> _Regression:
    """From the scores (n, t) of curves up to an epoch, and their final ones (n,)."""
    inputs, gains = _inputs(scores), finals - scores[:, -1]
    centre, scale = inputs.mean(0), inputs.std(0)
    scale[scale < 1e-12] = np.inf
    inputs = (inputs - centre) / scale
    inverse = np.linalg.inv(inputs.T @ inputs + PENALTY * len(finals) * np.eye(2))
    gain = gains.mean()
    weights = inverse @ inputs.T @ (gains - gain)
    leverage = 1 / len(finals) + np.einsum("ni,ij,nj->n", inputs, inverse, inputs)
    residuals = (gains - gain - inputs @ weights) / np.maximum(1 - leverage, 0.1)
    variance = float(np.mean(residuals**2))
    return _Regression(centre, scale, inverse, weights, float(gain), variance, len(finals))


def _inputs(scores: np.ndarray) -> np.ndarray:
    """(n, 2): the last score, and its gain over the one before."""
    last = scores[:, -1]
    return np.stack([last, last - scores[:, -2] if scores.shape[1] > 1 else np.zeros(len(last))], 1)
