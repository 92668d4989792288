"""Several runs -> one submission, by a vote, a greedy selection or stacking."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.predict import finishing
from analysis.predict.choosing import refuse
from analysis.predict.combining import Combination, Combined, combine
from analysis.predict.finishing import Finish
from analysis.predict.trained import Trained, load, other_classes
from analysis.predict.validation import KNOWN, own_predictions
from analysis.predict.vote import AUTO, FITTED, WAYS
from analysis.report.run import write_vote_report
from analysis.submission import CSV, SUBMISSION, is_taken_by_others, metric_of, writing
from analysis.submit import REPORT, about_kept, group_of, member_of, reporting, submit, vote_scores
from analysis.trials.runs import is_run, sorted_in
from analysis.trials.unfinished import unfinished, weights_words
from analysis.trust.answers import answers_of, differing, read_all, validation_of
from common.errors import UsageError, all_at_once, first_line, unknown
from common.files import only_writer_of_out
from common.log import output_of
from common.text import now, path_text
from dataset.read import read_eval
from trial.metrics import column_of, scores_text, title_of
from trial.run_folder.origin import code, versions
from trial.run_folder.predictions import probabilities_of, with_probabilities
from trial.run_folder.record import VALIDATION, RunFolder

output = output_of(__name__)

VOTES = (AUTO, *WAYS)


@only_writer_of_out
def ensemble(
    runs: Sequence[Path], data: Path, out: Path, vote: str = AUTO, tta: str = "none",
    temperature: float = 1.0, finish: Finish = Finish(),
) -> Path:  # fmt: skip
    """Write OUT/submission.csv of the run folders' vote, with submission.json and report.html. Return its
    path.

    A folder that export-best-and-retrain wrote stands for the runs in its best/. `vote`: one of VOTES; `auto`
    is the simplest way that is not significantly different from the one with the best nested score, the soft
    vote if the runs share no validation photos. `tta`: a name in VIEWS. UsageError, before the first
    prediction, for everything that can be refused.
    """
    runs = [run for folder in runs for run in _members_in(folder)]
    _, _, _, photos, _, *networks = all_at_once(
        lambda: _refuse(runs, out, vote),
        lambda: refuse(tta, temperature, auto=False),
        lambda: finishing.refuse(finish),
        lambda: read_eval(data, group_of(runs[0])),
        lambda: read_all([run for run in runs if (run / VALIDATION).exists()]),
        *(partial(load, run) for run in runs),
    )
    if errors := _class_errors(runs, networks) or _fold_errors(runs):
        raise UsageError(errors)
    names = _names(runs)
    members = [{"run": name, **member_of(about_kept(run)), "unfinished": unfinished(run)}
               for name, run in zip(names, runs, strict=True)]  # fmt: skip
    if note := other_data(members):
        output.info(note)
    for member in members:
        if state := member["unfinished"]:
            output.info(weights_words(state))
    task, metric = networks[0].task, metric_of({"members": members})
    shared, why = shared_validation(
        runs, names, lambda run: own_predictions(run, networks[runs.index(run)], data, tta, temperature)
    )
    combined = _combined(shared, why, vote, metric)
    chosen = combined.chosen if combined else _unfitted(vote, len(runs))
    voted = None
    if shared is not None:
        voted = with_probabilities(
            shared.table, combined.nested if combined else chosen.apply(shared.members)
        )
    if combined:
        output.info("\n".join(combined.lines(names, title_of(metric))))
    first = RunFolder(runs[0]).config()
    planned = finishing.plan_finish(finish, data, photos, voted, task, metric, first.corrections, first.group)
    validated = vote_scores(planned.validated, why, metric)
    output.info(f"validation of the vote: {_words(validated, metric)}")
    answers, seconds = _predict(runs, networks, chosen, photos, tta, temperature)
    for number, (member, weight, cost) in enumerate(zip(members, chosen.weights, seconds, strict=True)):
        known = {"weight": round(float(weight), 4)} if chosen.stack is None else {}  # a model has no weights
        member |= known | {"prediction_seconds": round(cost, 2)}
        member |= combined.adds_facts(number) if combined else {}
    about = {
        "vote": chosen.way, "vote_asked": vote, "tta": tta, "temperature": temperature, "members": members,
        "validation": validated, **({"ways": combined.facts()} if combined else {}), **planned.about,
        "code": code(), "versions": versions(), "created": now(),
    }  # fmt: skip
    with writing(out, [*SUBMISSION, REPORT]):
        about = submit(out, photos, planned.apply(chosen.apply(answers)), about, runs)
        with reporting(out / REPORT):
            title = f"{chosen.way} vote of {len(runs)}"
            write_vote_report(out / REPORT, runs, about, planned.validated, title)
    return out / CSV


def _predict(
    runs: Sequence[Path], networks: Sequence[Trained], chosen: Combination, photos: pd.DataFrame, tta: str,
    temperature: float,
) -> tuple[list[np.ndarray], list[float]]:  # fmt: skip
    """(Each member's probabilities, the seconds that these took); a member without weight is not asked."""
    answers, seconds = [], []
    for number, (run, trained, weight) in enumerate(
        zip(runs, networks, chosen.weights, strict=True), start=1
    ):
        if not weight:
            output.info(f"run {number} of {len(runs)}: {run}: without weight, not asked")
            answers.append(np.zeros((len(photos), trained.task.n_classes)))
            seconds.append(0.0)
            continue
        output.info(f"run {number} of {len(runs)}: {run}")
        started = time.perf_counter()
        answers.append(trained.predict(photos, tta, temperature))
        seconds.append(time.perf_counter() - started)
    each = ", ".join(f"{cost / sum(seconds):.0%}" for cost in seconds)
    output.info(f"prediction of {len(photos):,} photos took {sum(seconds):.1f} s: by run {each}")
    return answers, seconds


@dataclass(frozen=True, eq=False)
class Shared:
    """The validation answers of several runs to the same photos: `table` (photo, group, label, and p00 ... of
    the first one), and each run's probabilities (photos, classes)."""

    table: pd.DataFrame
    members: list[np.ndarray]


def shared_validation(
    runs: Sequence[Path], names: Sequence[str], answers: Callable[[Path], pd.DataFrame]
) -> tuple[Shared | None, str]:
    """(The runs' answers to their validation photos, "") or (None, why not). `names`: of the runs, in
    that sentence; `answers` gives a run's own table. No network was trained on these groups."""
    task = RunFolder(runs[0]).task()
    for run, name in zip(runs, names, strict=True):
        if not (run / VALIDATION).exists():
            return None, f"{name} has no {VALIDATION} (trained on all {task.groups}?)"
    try:
        tables = [answers(run).sort_values("photo", ignore_index=True) for run in runs]
    except (ValueError, UsageError) as error:
        return None, first_line(error)
    first = tables[0]
    for name, table in zip(names[1:], tables[1:], strict=True):
        if not table[KNOWN].equals(first[KNOWN]):
            words = differing(answers_of(first, names[0]), answers_of(table, name))
            return None, f"the validation of {name} {words}"
    return Shared(first, [probabilities_of(table) for table in tables]), ""


def _combined(shared: Shared | None, why: str, vote: str, metric: str) -> Combined | None:
    """The combination with its nested estimates; None if there are none. UsageError if one is wanted that
    must be fitted."""
    if shared is not None:
        labels, groups = shared.table["label"].to_numpy(), shared.table["group"].to_numpy(str)
        try:
            return combine(shared.members, labels, groups, metric, vote)
        except UsageError as error:
            why = first_line(error)
    if vote in FITTED:
        raise UsageError(
            f"--vote {vote} is fitted to validation answers that all runs share, but {why}; --vote soft "
            "needs none"
        )
    return None


def _unfitted(vote: str, members: int) -> Combination:
    return Combination("soft" if vote == AUTO else vote, np.full(members, 1 / members))


def _members_in(folder: Path) -> list[Path]:
    """The run folders that an argument stands for: itself, or all in its best/. Incomplete ones are included
    (and refused later): silently leaving one out would make another ensemble than the one asked for."""
    return ([] if is_run(folder) else sorted_in(folder / "best")) or [folder]


def _names(runs: Sequence[Path]) -> list[str]:
    """What the members are called: by their own names, if these are all different, else by their paths."""
    short = ["/".join(run.parts[-3:]) if run.parent.name == "best" else run.name for run in runs]
    return short if len(set(short)) == len(short) else [path_text(run) for run in runs]


def other_data(members: Sequence[dict[str, Any]]) -> str:
    """The sentence that names the members trained on other photos than the first; '' if there are none."""
    first, *others = members
    unlike = [member["run"] for member in others
              if member["data_fingerprint"] != first["data_fingerprint"]]  # fmt: skip
    if not unlike:
        return ""
    return f"note: {', '.join(unlike)}: trained on other photos than {first['run']} (or they have changed)"


def _refuse(runs: Sequence[Path], out: Path, vote: str) -> None:
    errors = []
    if len(runs) < 2:
        errors.append(
            f"an ensemble needs 2 runs or more, not {len(runs)}; for one: python -m analysis predict"
        )
    resolved = [run.resolve() for run in runs]
    repeated = sorted({str(run) for run in runs if resolved.count(run.resolve()) > 1})
    if repeated:
        errors.append(f"the same run is given twice: {', '.join(repeated)}")
    if vote not in VOTES:
        errors.append(unknown("--vote", vote, VOTES))
    if is_taken_by_others(out):
        errors.append(f"{out} already exists; give a new or empty folder as --out")
    if errors:
        raise UsageError(errors)


def _class_errors(runs: Sequence[Path], networks: Sequence[Trained]) -> list[str]:
    """[The message on runs with other classes than the first], [] if there are none."""
    first, *others = networks
    for run, other in zip(runs[1:], others, strict=True):
        if words := other_classes(other.task, first.task):
            return [f"{run}: predicts {words} than {runs[0]}; only runs of the same classes can vote"]
    return []


def _fold_errors(runs: Sequence[Path]) -> list[str]:
    """A message for each run of all folds whose validation answers lack one."""
    errors = []
    for run in runs:
        config = RunFolder(run).config()
        if config.fold == "all" and (run / VALIDATION).exists():
            known = sorted(validation_of(run)["fold"].unique())
            if len(known) < config.folds:
                errors.append(
                    f"{run / VALIDATION}: has answers for only {len(known)} of {config.folds} folds "
                    f"({', '.join(map(str, known))}); train the run to its end"
                )
    return errors


def _words(validation: dict[str, Any], metric: str) -> str:
    if "none" in validation:
        return f"none, as {validation['none']}"
    score, macro_f1 = validation[column_of(metric)], validation["macro_f1"]
    return scores_text(metric, score, macro_f1, validation["accuracy"], ", ")
