"""The final score that a learning curve leads to, predicted from the curves of finished trainings."""

from collections.abc import Sequence

import numpy as np

MIN_CURVES = 4  # of finished trainings; with fewer the last score stands for the final one
PENALTY = 0.1  # of the ridge regression, on standardised inputs, in units of a curve


def predict_final(
    curve: Sequence[float], finished: Sequence[Sequence[float]], finals: Sequence[float]
) -> tuple[float, float]:
    """Mean and variance of the final score of a training with the scores `curve`, one for each epoch so far.

    A ridge regression of (final - y_t) on (1, y_t, y_t - y_(t-1)), where t is the last epoch of `curve`, over
    the `finished` curves that are longer, whose final scores are `finals`. The variance is the mean square of
    the leave-one-out residuals: chained regressions from epoch to epoch, or the recipe as an input, are
    overconfident. Gains are predicted, not scores: with few curves the prediction falls back on the mean
    gain.
    """
    epoch = len(curve)
    rows = [(other, final) for other, final in zip(finished, finals, strict=True) if len(other) > epoch]
    if len(rows) < MIN_CURVES:
        return float(curve[-1]), float(np.var(finals)) if len(finals) > 1 else 1.0
    inputs = np.array([_inputs(other[:epoch]) for other, _ in rows])
    gains = np.array([final - other[epoch - 1] for other, final in rows])
    centre, scale = inputs.mean(0), inputs.std(0)
    scale[scale < 1e-12] = np.inf
    inputs = (inputs - centre) / scale
    inverse = np.linalg.inv(inputs.T @ inputs + PENALTY * len(rows) * np.eye(2))
    gain = gains.mean()
    weights = inverse @ inputs.T @ (gains - gain)
    leverage = 1 / len(rows) + np.einsum("ni,ij,nj->n", inputs, inverse, inputs)
    residuals = (gains - gain - inputs @ weights) / np.maximum(1 - leverage, 0.1)
    here = (_inputs(curve) - centre) / scale
    return float(curve[-1] + gain + here @ weights), float(np.mean(residuals**2))


def _inputs(curve: Sequence[float]) -> np.ndarray:
    last = curve[-1]
    return np.array([last, last - curve[-2] if len(curve) > 1 else 0.0])
