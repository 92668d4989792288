"""What earlier experiments say about recipes of a search space: their ranks, from their run folders."""

import csv
import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import ndtri

from tuners.errors import UsageError
from tuners.model.curves import FinalScores, scaled
from tuners.reports import reports_folds, score
from tuners.spaces.parameter import Params
from tuners.spaces.recipes import PROJECT, point_of
from tuners.spaces.space import Space, flat

EXPERIMENTS = PROJECT / "out" / "experiments"
MIN_TRIALS = 4  # of an earlier experiment that tell something by their ranks
COLUMNS = {"log_loss": "negative_log_loss"}  # of epochs.csv, by metric; others have the metric's name


@dataclass(frozen=True)
class Earlier:
    """Recipes of earlier experiments, with their normal scores: the quantile of the standard normal
    distribution for their rank within their experiment, so that neither data nor size nor metric has to be
    the same. `doubts`: standard deviations of the scores, 0 of those that were trained to their ends. One of
    a recipe's `params` may lie outside the space."""

    params: list[Params]
    scores: list[float]
    doubts: list[float] = field(default_factory=list)  # [] in studies of earlier versions: none

    def to_json(self) -> dict[str, Any]:
        return {"params": self.params, "scores": self.scores, "doubts": self.doubts}


def earlier_folders(given: Any) -> list[Path]:
    """The folders of earlier experiments: ids, or paths relative to the project. UsageError names all that do
    not exist."""
    found, errors = [], []
    for one in [given] if isinstance(given, str) else given or ():
        places = [PROJECT / str(one), EXPERIMENTS / str(one)]
        folder = next((place for place in places if (place / "trials").is_dir()), None)
        if folder:
            found.append(folder)
        else:
            errors.append(f"warm_start: {one}: there is no experiment, neither {places[0]} nor {places[1]}")
    if errors:
        raise UsageError(errors)
    return found


def read_earlier(folders: list[Path], nni_space: Mapping[str, Any]) -> tuple[Earlier, list[str]]:
    """What the run folders of earlier experiments say about recipes of this space, and a sentence on each
    experiment.

    Those that were paused or stopped rank by the final scores that their curves lead to. A recipe counts with
    one value outside the space, too, which is unlike all values in it by as much as it is away.

    UsageError if their spaces share nothing with this one: no recipe of theirs fits it, or all are the same
    in it.
    """
    space = Space(nni_space)
    found = Earlier([], [])
    notes = []
    for folder in folders:
        runs, left_out = _runs(folder)
        used: Counter[str] = Counter()
        for run, normal, doubt in zip(runs, *_ranked(runs), strict=True):
            point, missing, wrong = point_of(nni_space, run.recipe)
            params = flat(point)
            if missing or len(wrong) > 1 or (wrong and len(nni_space) < 2) or not space.has_place(params):
                continue
            used["finished" if run.final is not None else "unfinished"] += 1
            used["outside"] += bool(wrong)
            if len(runs) >= MIN_TRIALS:
                found.params.append(space.params(point) if not wrong else params)
                found.scores.append(float(normal))
                found.doubts.append(float(doubt))
        finished = sum(run.final is not None for run in runs)
        notes.append(
            f"{folder.name}: {used['finished']} of its {finished} finished and {used['unfinished']} of its "
            f"{len(runs) - finished} paused or stopped recipes fit this space"
            + (f", {used['outside']} of them but for one value" if used["outside"] else "")
            + "".join(f"; {n} {what} {'is' if n == 1 else 'are'} left out" for what, n in left_out.items())
            + (f"; it tells nothing with fewer than {MIN_TRIALS}" if 0 < len(runs) < MIN_TRIALS else "")
        )
    if len({tuple(sorted(one.items())) for one in found.params}) < 2:
        raise UsageError(
            f"warm_start: the search space shares nothing with the earlier experiments ({'; '.join(notes)}): "
            f"at least two different recipes, of experiments with {MIN_TRIALS} that have a score, must fit it"
        )
    return found, notes


@dataclass(frozen=True)
class _Run:
    """A recipe, its score after each epoch, and the final one; None of one that was not trained to its
    end."""

    recipe: dict[str, Any]
    curve: list[float]
    final: float | None


def _ranked(runs: Sequence[_Run]) -> tuple[np.ndarray, np.ndarray]:
    """Normal scores (n,) of the ranks of the runs, and their standard deviations (n,)."""
    finals = np.array([np.nan if run.final is None else run.final for run in runs])
    doubts, open_ = np.zeros(len(runs)), np.isnan(finals)
    if open_.any():
        curves, known, _ = scaled([run.curve for run in runs], finals[~open_].tolist())
        finals[~open_] = known
        means, variances = FinalScores(curves, finals.tolist()).predict(
            [curve for curve, is_open in zip(curves, open_, strict=True) if is_open]
        )
        finals[open_] = means
        doubts[open_] = np.sqrt(variances) / max(float(finals.std()), 1e-9)
    ranks = np.argsort(np.argsort(finals, kind="stable"), kind="stable")
    return ndtri((ranks + 0.5) / max(len(runs), 1)), doubts


def _runs(folder: Path) -> tuple[list[_Run], Counter[str]]:
    """The runs of an experiment that have a score, and how many do not count, by what they are. One that
    another went on from counts as that one."""
    statuses, recipes = {}, {}
    for run in sorted((folder / "trials").iterdir()):
        try:
            status = json.loads((run / "status.json").read_text())
            recipe = json.loads((run / "config.json").read_text())
        except (OSError, ValueError):
            continue
        if isinstance(status, dict) and isinstance(recipe, dict):
            statuses[run.name], recipes[run.name] = status, recipe
    gone_on = {
        parent
        for status in statuses.values()
        if (parent := status.get("parent")) in statuses
        and (status.get("epochs") or 0) >= (statuses[parent].get("epochs") or 0)
    }
    runs, left_out = [], Counter[str]()
    for name, status in statuses.items():
        if name in gone_on:
            continue
        state, recipe = status.get("state"), recipes[name]
        final = score(status.get("score", status.get("macro_f1"))) if state == "done" else None
        curve = _curve(folder / "trials" / name / "epochs.csv", status)
        if state == "failed":
            left_out["that failed"] += 1
        elif final is None and curve and reports_folds(recipe):
            left_out["without all of its folds"] += 1
        elif final is not None or (curve and state != "done"):
            runs.append(_Run(recipe, [] if reports_folds(recipe) else curve, final))
    return runs, left_out


def _curve(path: Path, status: Mapping[str, Any]) -> list[float]:
    """The score after each epoch: the mean of the folds, up to the last epoch that all of them have; [] if
    the file is missing or damaged."""
    column = str(status.get("metric", "macro_f1"))
    scores: dict[int, list[float]] = defaultdict(list)
    try:
        with path.open(newline="") as file:
            for row in csv.DictReader(file):
                scores[int(row["epoch"])].append(float(row[COLUMNS.get(column, column)]))
    except (OSError, ValueError, KeyError, TypeError):
        return []
    folds = len(scores.get(1, []))
    whole = [epoch for epoch in sorted(scores) if len(scores[epoch]) == folds]
    return [float(np.mean(scores[epoch])) for epoch in whole]
