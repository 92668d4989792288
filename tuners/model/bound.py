"""The bound below which a training can't win. Independent of NNI, so that it can be applied to recorded
curves, too."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tuners.chosen import CAN_NOT_WIN
from tuners.errors import UsageError, count_errors, is_number
from tuners.model.curves import FinalScores, raised


class StopRule(Protocol):
    """When a trial is stopped for good."""

    def reason(
        self, curve: Sequence[float], finished: Sequence[Sequence[float]], finals: Sequence[float]
    ) -> str:
        """Why a trial with the reports `curve` is stopped; '' if it goes on.

        `finished`: the reports of trials that ran to their ends; `finals`: their final scores.
        """


@dataclass(frozen=True)
class Bound:
    """When a training is stopped for good.

    Its predicted final score (`curves.FinalScores`) plus `z` standard deviations of the prediction must lie
    more than `margin` below the best finished score. Never before `start_epoch`, nor with fewer than
    `min_finished` finished trainings that are longer than it is by then. UsageError if one of them is none.

    In replays (benchmarks/search) these defaults stopped no recipe within .01 of the best for good: 0 of 100
    searches of recorded recipes, 0 of 120 of generated ones (20 of them with late and noisy curves). With z=3
    it was 5 of 40: residuals of few trainings are not normal.
    """

    z: float = 5.0
    margin: float = 0.01
    min_finished: int = 12
    start_epoch: int = 2

    def __post_init__(self) -> None:
        errors = [
            f"{name}: {value!r} is not a number of at least 0"
            for name, value in (("z", self.z), ("margin", self.margin))
            if not is_number(value) or not 0 <= value < math.inf
        ]
        errors += count_errors(1, min_finished=self.min_finished, start_epoch=self.start_epoch)
        if errors:
            raise UsageError("; ".join(errors))

    def reason(
        self, curve: Sequence[float], finished: Sequence[Sequence[float]], finals: Sequence[float]
    ) -> str:
        """Why a training with the scores `curve`, one for each epoch so far, is stopped; '' if it goes on.

        `finished`: curves of trainings that ran to their ends; `finals`: their final scores.
        """
        epoch = len(curve)
        if epoch < self.start_epoch or sum(len(other) > epoch for other in finished) < self.min_finished:
            return ""
        (*others, own), raised_finals = raised([*finished, curve], finals)
        (predicted,), (variance,) = FinalScores(others, raised_finals).predict([own])
        highest = max(predicted + self.z * variance**0.5, *curve)
        best = max(finals)
        if highest >= best - self.margin:
            return ""
        return (
            f"{CAN_NOT_WIN} after epoch {epoch}: predicted {predicted:.4f}, at most {highest:.4f} "
            f"({self.z:g} standard deviations), the best finished {best:.4f}"
        )
