"""The rule that stops a trial, apart from NNI: the same function serves a replay of recorded curves."""

from collections.abc import Sequence
from statistics import median


def hopeless(
    curve: Sequence[float],
    finished: Sequence[Sequence[float]],
    start_epoch: int = 2,
    min_finished: int = 3,
    margin: float = 0.0,
    epochs: int | None = None,
) -> bool:
    """Whether a trial with the scores `curve` (one an epoch so far, higher is better) should be stopped.

    It should when its best so far lies more than `margin` below the median of what the trials in `finished`
    (curves of any length, of trials that ran to their end) had as their best at the same epoch. Never before
    `start_epoch`, never with fewer than `min_finished` to compare with, and never at the last epoch, which is
    `epochs`, or else the longest finished trial's: there is nothing left to save.
    """
    epoch = len(curve)
    finished = [other for other in finished if other]
    if epoch < max(start_epoch, 1) or len(finished) < max(min_finished, 1):
        return False
    if epoch >= (epochs or max(len(other) for other in finished)):
        return False
    return max(curve) < median(max(other[:epoch]) for other in finished) - margin
