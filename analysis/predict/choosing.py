"""--tta auto: the views of a photo that a submission's networks predict, chosen by validation answers.

What is chosen on answers has too high a score on the same ones, so the gain over the photo alone is nested:
views are chosen on some groups and scored on the others. They are used if the interval of that is above 0.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.predict.finishing import FinishPlan
from analysis.predict.trained import Trained, load
from analysis.predict.validation import Read, predict_validation, shared_vote
from analysis.trust.bootstrap import Interval
from analysis.trust.nested import assign_folds, gains, out_of_fold
from common.errors import UsageError, first_line, unknown
from common.log import output_of
from dataset.read import read_train
from trial.data.views import VIEWS
from trial.metrics import METRICS, title_of
from trial.run_folder.predictions import probabilities_of, scores_of

output = output_of(__name__)

ALONE = "none"  # the photo without other views
AUTO = "auto"  # the views that validation answers choose


def refuse(tta: str, temperature: float = 1.0, auto: bool = True) -> None:
    """UsageError if `tta` is unknown, or AUTO without `auto`, or `temperature` is not a positive number."""
    known = (*VIEWS, AUTO) if auto else tuple(VIEWS)
    errors = [] if tta in known else [unknown("--tta", tta, known)]
    if not 0 < temperature < float("inf"):
        errors.append(
            f"--temperature {temperature:g}: must be a number above 0 (1 leaves the logits as they are)"
        )
    if errors:
        raise UsageError(errors)


@dataclass(frozen=True)
class ChosenViews:
    """`best`: the views with the highest of `scores`; `gain`: nested, of the views that other groups choose
    over the photo alone."""

    best: str
    scores: Mapping[str, float]
    gain: Interval

    @property
    def used(self) -> str:
        """`best` if the interval of the gain is above 0, else the photo alone."""
        return self.best if self.gain.low > 0 else ALONE

    def facts(self) -> dict[str, Any]:
        """For submission.json."""
        return {"best": self.best, **self.gain.facts("gain"), "scores": dict(self.scores)}

    def words(self) -> str:
        """For people."""
        return (
            f"--tta auto: choosing views gains {self.gain.signed()} by a nested estimate, {self.best} is "
            f"best; --tta {self.used} is used"
        )


def choose(tables: Mapping[str, pd.DataFrame], metric: str) -> ChosenViews:
    """The choice among validation answers (photo, group, label, p00, ...) to the same photos by the views
    that they were predicted with, one of them ALONE. Deterministic. UsageError if there are too few
    groups."""
    score = METRICS[metric]
    scores = {views: score(scores_of(table)) for views, table in tables.items()}
    known = tables[ALONE]
    labels, groups = known["label"].to_numpy(), known["group"].to_numpy(str)
    answers = {views: probabilities_of(table) for views, table in tables.items()}

    def best_on(rows: np.ndarray) -> np.ndarray:
        return answers[max(tables, key=lambda views: score(scores_of(tables[views][rows])))]

    nested = out_of_fold(lambda rows: best_on(rows).__getitem__, assign_folds(groups, labels))
    _, (_, gain) = gains(labels, groups, [answers[ALONE], nested], metric)
    return ChosenViews(max(scores, key=lambda views: scores[views]), scores, gain)


def views_for(
    runs: Sequence[Path] | None, data: Path, metric: str, temperature: float = 1.0
) -> tuple[str, dict[str, Any]]:
    """(The views for networks like those of `runs`, or for their soft vote, by the answers to their own
    validation photos of `data`; the facts on the choice). Printed; the photo alone if that can't be measured.
    """
    try:
        if runs is None:
            raise UsageError("there are no validation answers of these networks, or of their trials")
        networks = [load(run) for run in runs]
        read = cache(partial(read_train, data))  # once, and its notes are said once
        tables = {views: _answers(runs, networks, data, views, temperature, read) for views in VIEWS}
        found = choose(tables, metric)
    except (FileNotFoundError, ValueError, UsageError) as error:
        missing = isinstance(error, FileNotFoundError)
        why = "a run has no validation answers" if missing else first_line(error)
        output.info(f"--tta auto: not measured, so --tta {ALONE} is used: {why}")
        return ALONE, {"why": why}
    shown = ", ".join(f"{views} {score:.4f}" for views, score in found.scores.items())
    output.info(f"validation {title_of(metric)} by views: {shown}\n{found.words()}")
    return found.used, found.facts()


def with_views(
    tta: str, planned: FinishPlan, trials: Sequence[Path | None], validated: Sequence[pd.DataFrame | None],
    data: Path, metric: str,
) -> tuple[str, FinishPlan]:  # fmt: skip
    """(The views that retrained networks predict, the plan with the facts on their choice): `tta`, or for
    AUTO those of `views_for`. `trials`: the runs that the recipes are of, with their `validated` answers."""
    if tta != AUTO:
        return tta, planned
    runs = [run for run, table in zip(trials, validated, strict=True) if run and table is not None]
    tta, facts = views_for(runs if len(runs) == len(trials) else None, data, metric)
    return tta, replace(planned, about=planned.about | {"tta_chosen": facts})


def _answers(
    runs: Sequence[Path], networks: Sequence[Trained], data: Path, views: str, temperature: float, read: Read
) -> pd.DataFrame:
    """The soft vote of the runs' answers by these views."""
    known = [
        predict_validation(run, trained, data, views, temperature, read)
        for run, trained in zip(runs, networks, strict=True)
    ]
    if (table := shared_vote(known)) is None:
        raise UsageError("the networks were validated on different photos")
    return table
