"""The final score that a learning curve leads to, predicted from the curves of all trainings so far."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

STINTS = 4  # in which a recipe is trained, each by a trial of NNI, if each time something else is worth more

# Priors of the predictions. Each counts as DEGREES curves: the standard deviation of final scores; the part
# of their variance that is open after a fraction x of a training, (1 - x)^OPEN; the standard deviation of a
# slope, of a gain over the score that it starts from.
DEGREES, DEVIATION, OPEN, SLOPE = 1.0, 0.1, 2.0, 0.4
FAR = 3.0
SPAN = 4.0  # in replays of recorded and of generated trainings 1 to 10 did as well
ROUNDS = 3  # of the regression, whose penalty depends on the variance that it finds


def stint_ends(epochs: int) -> list[int]:
    """The epochs after which a training of `epochs` may be paused: at the quarters, before the last."""
    ends = {math.ceil(epochs * stint / STINTS) for stint in range(1, STINTS)}
    return sorted(end for end in ends if end < epochs)


def raised(
    curves: Sequence[Sequence[float]], finals: Sequence[float]
) -> tuple[list[list[float]], list[float]]:
    """The curves and final scores with those raised that lie far below the others, epoch by epoch: to FAR
    times the best one's distance from the median below it.

    A log loss has no lower end: one training that diverged would be all that a model sees of the scores.
    Where none is negative, as fractions are, all stay as they are.
    """
    longest = max(map(len, curves), default=0)
    columns = [np.array([curve[epoch] for curve in curves if len(curve) > epoch]) for epoch in range(longest)]
    lowest = [_lowest(column) for column in columns]
    last = _lowest(np.array(finals, float))
    return [list(map(max, curve, lowest)) for curve in curves], [max(final, last) for final in finals]


def _lowest(scores: np.ndarray) -> float:
    if len(scores) < 3 or scores.min() >= 0:
        return -math.inf
    middle = float(np.median(scores))
    return middle - FAR * (float(scores.max()) - middle)


def scaled(
    curves: Sequence[Sequence[float]], finals: Sequence[float]
) -> tuple[list[list[float]], list[float], float]:
    """The `raised` curves and final scores, in units of SPAN times the difference of the highest and the
    lowest of them, and that unit; 1 as long as all are equal.

    The priors are for recipes whose final scores differ by about .1. Without units recipes that differ by
    .01, as heads on frozen features may, would be searched as if any might be better than the best by .1.
    """
    curves, finals = raised(curves, finals)
    scores = [score for curve in (*curves, finals) for score in curve]
    unit = (SPAN * (max(scores) - min(scores)) if scores else 0.0) or 1.0
    return [[score / unit for score in curve] for curve in curves], [final / unit for final in finals], unit


class FinalScores:
    """Predicts final scores from `curves`, whose final scores are `finals`, NaN of those not trained to their
    ends.

    A training is followed from the end of one stint to that of the next: each gain is a ridge regression on
    the score before it and on the gain before that, over all curves that have it. So the many curves that
    were paused early count, too: what is predicted from finished ones alone, which were the promising ones,
    is far too high for the others. Means and variances are carried on through the steps (a linear Gaussian
    model); the variance grows where a curve is unlike those that the regression saw.
    """

    def __init__(self, curves: Sequence[Sequence[float]], finals: Sequence[float]):
        self._finals = np.array(finals, float)
        lengths = np.array([len(curve) for curve in curves], int)
        finished = ~np.isnan(self._finals)
        self._epochs = int(lengths[finished].max(initial=0)) or int(lengths.max(initial=0)) + 1
        self._scores = np.full((len(curves), self._epochs), np.nan)
        latest = np.copy(self._finals)
        for number, curve in enumerate(curves):
            self._scores[number, : len(curve)] = curve[: self._epochs]
            if len(curve) and not finished[number]:
                latest[number] = curve[-1]
        latest = latest[~np.isnan(latest)]
        spread = float(np.var(latest)) * len(latest) if len(latest) else 0.0
        self._variance = (spread + 2 * DEVIATION**2) / (max(len(latest) - 1, 0) + 2)
        self._gains: dict[tuple[int, int, int], _Gain] = {}
        self._noises: dict[int, float] = {}  # by epoch: every paused training asks for the same few

    def predict(self, curves: Sequence[Sequence[float]]) -> tuple[np.ndarray, np.ndarray]:
        """Means and variances (n,) of the final scores of trainings with these scores, one for each epoch so
        far."""
        means, variances = np.empty(len(curves)), np.empty(len(curves))
        lengths = np.array([len(curve) for curve in curves], int)
        for epoch in np.unique(lengths):
            which = np.flatnonzero(lengths == epoch).tolist()
            scores = np.array([curves[number] for number in which], float)
            means[which], variances[which] = self._of_length(min(int(epoch), self._epochs), scores)
        return means, variances

    def noise(self, epoch: int) -> float:
        """The variance of the prediction for an average training, after `epoch` of it."""
        epoch = min(epoch, self._epochs)
        if epoch not in self._noises:
            seen = self._scores[~np.isnan(self._scores[:, epoch - 1]), :epoch]
            average = seen.mean(0, keepdims=True) if len(seen) else np.zeros((1, epoch))
            self._noises[epoch] = float(self._of_length(epoch, average)[1][0])
        return self._noises[epoch]

    def _of_length(self, epoch: int, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        ends = stint_ends(self._epochs)
        before = max((end for end in ends if end < epoch), default=0)
        last = scores[:, -1]
        state = np.stack([last, last - scores[:, before - 1] if before else np.zeros(len(last))], 1)
        spread = np.zeros((len(state), 2, 2))
        steps = [epoch, *(end for end in ends if end > epoch), self._epochs + 1]
        for here, there in pairwise(steps):
            gain = self._gain(before, here, there)
            means, variances = gain.at(state)
            onward = np.array([[1, 0], [0, 0]]) + gain.slopes
            spread = onward @ spread @ onward.T + variances[:, None, None]
            state, before = np.stack([state[:, 0] + means, means], 1), here
        return state[:, 0], spread[:, 0, 0]

    def _gain(self, before: int, here: int, there: int) -> "_Gain":
        """From the score after epoch `here` to that after epoch `there`, or to the final one."""
        key = before, here, there
        if key not in self._gains:
            start = self._scores[:, here - 1]
            end = self._scores[:, there - 1] if there <= self._epochs else self._finals
            earlier = start - self._scores[:, before - 1] if before else np.zeros(len(start))
            known = ~np.isnan(start) & ~np.isnan(end)
            is_open, later = (max(0.0, 1 - epoch / self._epochs) ** OPEN for epoch in (here, there))
            prior = self._variance * max(is_open - later, 1e-6)
            self._gains[key] = _fit(np.stack([start, earlier], 1)[known], (end - start)[known], prior)
        return self._gains[key]


@dataclass(frozen=True)
class _Gain:
    """A regression of a gain on (score, the gain before): `slopes` (2,) from `centre` (2,), where the gain is
    `gain`; `inverse` (2, 2) times `variance` is the covariance of the slopes."""

    centre: np.ndarray
    slopes: np.ndarray
    gain: float
    inverse: np.ndarray
    variance: float
    count: int

    def at(self, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Means and variances (n,) of the gains from states (n, 2)."""
        off = state - self.centre
        unlike = 1 + 1 / max(1, self.count) + np.einsum("ni,ij,nj->n", off, self.inverse, off)
        return self.gain + off @ self.slopes, self.variance * unlike


def _fit(inputs: np.ndarray, gains: np.ndarray, prior: float) -> _Gain:
    """From inputs (n, 2) and gains (n,); `prior`: the variance of the residuals, as DEGREES curves."""
    count = len(gains)
    if not count:
        return _Gain(np.zeros(2), np.zeros(2), 0.0, np.zeros((2, 2)), prior, 0)
    centre, gain = inputs.mean(0), float(gains.mean())
    inputs, rest, variance = inputs - centre, gains - gain, prior
    squares = inputs.T @ inputs
    for _ in range(ROUNDS):
        inverse = np.linalg.inv(squares + variance / SLOPE**2 * np.eye(2))
        slopes = inverse @ inputs.T @ rest
        free = max(count - 1 - np.trace(inverse @ squares), 0.0)  # that of the (n, n) hat matrix, too
        residuals = rest - inputs @ slopes
        variance = float((residuals @ residuals + DEGREES * prior) / (free + DEGREES))
    return _Gain(centre, slopes, gain, inverse, variance, count)
