"""The rule that stops a trial. Independent of NNI, so that it can be applied to recorded curves, too."""

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
    """Whether to stop a trial with the scores `curve` (one for each epoch so far, higher is better).

    True if its best score is more than `margin` below the median, over the trials in `finished` (curves of
    any length, of trials that ran to their end), of their best score up to the same epoch. Never before
    `start_epoch`, with fewer than `min_finished` finished trials, or at the last epoch (`epochs`, or else
    that of the longest finished trial), where nothing is left to save.
    """
    epoch = len(curve)
    finished = [other for other in finished if other]
    if epoch < max(start_epoch, 1) or len(finished) < max(min_finished, 1):
        return False
    if epoch >= (epochs or max(len(other) for other in finished)):
        return False
    return max(curve) < median(max(other[:epoch]) for other in finished) - margin
