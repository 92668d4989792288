"""From the probabilities of a network, or of several, to those that decide: the photos of a group combined,
the decision layer for macro-F1."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.predict.one_group import combine_photos, groups_to_answer, shared_axes
from analysis.predict.validation import LOWERS
from analysis.trust.covered import coverage_lines, not_covered
from analysis.trust.decision import METRIC, Decision, decide, decision_from
from common.errors import UsageError, first_line, unknown
from common.log import output_of
from dataset.read import corrected, scan_train
from dataset.task import Task
from trial.metrics import METRICS, title_of
from trial.run_folder.predictions import probabilities_of, scores_of, with_probabilities

output = output_of(__name__)

AUTO, NONE = "auto", "none"
DECIDE = (AUTO, NONE, METRIC)


@dataclass(frozen=True)
class Finish:
    """What was asked for. `decide`: one of DECIDE; AUTO applies the decision layer if the metric is macro-F1
    and the interval of its nested gain is above 0. `combine_photos`: those of one group."""

    decide: str = AUTO
    combine_photos: bool = False


@dataclass(frozen=True, eq=False)
class FinishPlan:
    """What is done. `groups` (photos,): of the photos to predict, None if they are not combined; `shared`:
    the factors, by number, that the photos of a group have in common. `decision`: None if the most probable
    class is the answer. `validated`: the validation answers, with the photos of a group combined if these
    are; before the decision. `about`: for submission.json."""

    task: Task
    groups: np.ndarray | None = None
    shared: tuple[int, ...] = ()
    decision: Decision | None = None
    validated: pd.DataFrame | None = None
    about: dict[str, Any] = field(default_factory=dict)

    def apply(self, probabilities: np.ndarray) -> np.ndarray:
        """The probabilities (photos, classes) that decide."""
        if self.groups is not None:
            probabilities = combine_photos(probabilities, self.groups, self.task, self.shared)
        return self.decision.apply(probabilities) if self.decision else probabilities

    def decided(self, facts: Mapping[str, Any] | None) -> "FinishPlan":
        """The same plan with the decision that a bundle recorded, if it did."""
        if facts is None:
            return self
        decision = decision_from(facts, self.task)
        return replace(self, decision=decision, about=self.about | {"decision": {"applied": True, **facts}})


def refuse(finish: Finish) -> None:
    """UsageError for an unknown decision."""
    if finish.decide not in DECIDE:
        raise UsageError(unknown("--decide", finish.decide, DECIDE))


def plan_finish(
    finish: Finish, data: Path, photos: pd.DataFrame, validated: pd.DataFrame | None, task: Task,
    metric: str, corrections: str, group: str,
) -> FinishPlan:  # fmt: skip
    """What is done with the predictions for `photos` of `data`; printed, with what it is worth and which
    classes validation does not cover.

    `validated`: answers (photo, group, label, p00, ...) for groups that the networks were not trained on,
    None if there are none. `metric`, `corrections`, `group`: of the networks' recipe. UsageError if what was
    asked for cannot be done.
    """
    groups: np.ndarray | None = None
    shared: tuple[int, ...] = ()
    about: dict[str, Any] = {}
    if validated is not None:
        about["not_covered"] = not_covered(
            validated["label"].to_numpy(), validated["group"].to_numpy(str), task
        )
        for words in coverage_lines(about["not_covered"], "validation"):
            output.info(words)
    if finish.combine_photos:
        groups = groups_to_answer(photos, task, str(data))
        shared = _shared(data, corrections, group, task, validated)
        names = [list(task.factors)[axis] for axis in shared] if task.factors else ["class"]
        about["combined_photos"] = {"of": task.group, "shared": names}
        if validated is not None:
            combined = with_probabilities(validated, combine_photos(
                probabilities_of(validated), validated["group"].to_numpy(str), task, shared
            ))  # fmt: skip
            known = [METRICS[metric](scores_of(table)) for table in (validated, combined)]
            about["combined_photos"] |= {"validation_alone": known[0], "validation": known[1]}
            lowers = LOWERS if known[1] < known[0] else ""
            output.info(
                f"validation {task.groups}: {title_of(metric)} {known[0]:.4f} photo by photo, "
                f"{known[1]:.4f} with the photos of one {task.group} combined{lowers}"
            )
            validated = combined
    decision, about["decision"], is_worth_it = _decision(finish, validated, task, metric)
    # What is known is of the probabilities before the decision.
    if decision and (metric != METRIC or not is_worth_it):
        why = f"the {title_of(metric)} after --decide {METRIC} was not validated" if metric != METRIC else (
            f"--decide {METRIC} may lose: its nested macro-F1 is {about['decision'][METRIC]:.4f}"
        )  # fmt: skip
        about["no_promise"] = why
        output.info(f"no promise: {why}")
    return FinishPlan(task, groups, shared, decision, validated, about)


def _shared(
    data: Path, corrections: str, group: str, task: Task, validated: pd.DataFrame | None
) -> tuple[int, ...]:
    """The factors that the photos of a group share, by the photos to train on in `data`; if it has none of
    these classes, as a set of new photos to predict, by the answers that the networks were validated on."""
    scan, where = scan_train(data, group), f"to train on of one {task.group} in {data}"
    if not scan.errors and scan.task.classes == task.classes:
        known = corrected(task, scan.table, corrections)
    elif validated is not None:
        known, where = validated, f"of one {task.group} that the networks were validated on"
    else:
        raise UsageError(
            f"--combine-photos: {data} has no photos to train on of the networks' classes, nor are there "
            f"validation answers of them: what the photos of one {task.group} share is not known"
        )
    shared = shared_axes(task, known["label"].to_numpy(), known["group"].to_numpy(str))
    if not shared:
        raise UsageError(f"--combine-photos: the photos {where} have no class or factor in common")
    return shared


def _decision(
    finish: Finish, validated: pd.DataFrame | None, task: Task, metric: str
) -> tuple[Decision | None, dict[str, Any], bool]:
    """(The decision to apply, the facts on it, whether it is known to gain)."""
    why = ""
    if finish.decide == NONE:
        why = "--decide none"
    elif finish.decide == AUTO and metric != METRIC:
        why = f"the metric is {metric}"
    elif validated is None:
        why = f"there are no validation answers of these networks, or of their trial, for {task.groups}"
    else:
        try:
            arrays = (validated["label"].to_numpy(), validated["group"].to_numpy(str))
            found = decide(probabilities_of(validated), *arrays, task)
        except UsageError as error:
            why = first_line(error)
    if why:
        if finish.decide == METRIC:
            raise UsageError(f"--decide {METRIC}: {why}")
        if finish.decide == AUTO and metric == METRIC:  # else it was asked for
            output.info(f"no decision layer: {why}")
        return None, {"applied": False, "why": why}, False
    applied = finish.decide == METRIC or found.is_worth_it
    output.info(f"validation {task.groups}: {found.words()}; it is {'' if applied else 'not '}applied")
    facts = {"applied": applied, **found.facts()}
    if not applied:
        return None, facts, False
    return found.decision, facts | found.decision.to_json(task), found.is_worth_it
