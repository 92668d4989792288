"""An experiment's report: one page with its trials, curves, search, best recipe and submission."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.report import parallel_coordinates, plots
from analysis.report.best_so_far import best_so_far, best_so_far_figure
from analysis.report.classes import classes_of
from analysis.report.page import write_page
from analysis.report.run_facts import alarms_of
from analysis.report.tables import (
    compare_recipes,
    constants,
    count_words,
    headline,
    searched_columns,
    submission_facts,
    trials_table,
)
from analysis.trials.hours import hours_words
from analysis.trials.printing import LIMITS, trust_words, with_limits
from analysis.trials.ranking import Ranking
from analysis.trials.table import Experiment, recipe_columns
from analysis.trust.answers import validation_of
from common.errors import UsageError
from dataset.task import Task
from trial.record import RunFolder


def write_experiment_report(
    experiment: Experiment,
    path: Path,
    ranking: Ranking,
    best: pd.Series | None,
    submission: Mapping[str, Any] | None = None,
) -> Path:
    """Write the report of an experiment to the .html file `path`, from its ranked trials and what their run
    folders hold. `best`: the row of the chosen trial, None if none has finished. `submission`: the content
    of submission.json, if one was made."""
    folders = {trial: Path(folder) for trial, folder in ranking.table[["trial", "folder"]].to_numpy()}
    having_epochs = [trial for trial, folder in folders.items() if (folder / "epochs.csv").exists()]
    keep = [row["trial"] for row in ranking.roles(best).values() if row is not None]
    drawn = plots.curves_to_draw(ranking.table, having_epochs, keep, metric=ranking.metric)
    curves = {trial: curve for trial in drawn if (curve := _curve(folders[trial])) is not None}
    validation, task = None, None
    if best is not None:
        task = RunFolder(best["folder"]).task()
        with suppress(FileNotFoundError, UsageError):  # the words on trust name the file
            validation = validation_of(Path(best["folder"]))
    name = experiment.name or experiment.id
    return write_report(path, name, ranking, best, curves, validation, submission, task)


def _curve(run: Path) -> pd.DataFrame | None:
    """A run's epochs, None if they can't be read: the table of trials names what is damaged."""
    try:
        return RunFolder(run).curve()
    except (FileNotFoundError, UsageError):
        return None


def write_report(
    out: Path,
    experiment_name: str,
    ranking: Ranking,
    best: pd.Series | None,
    curves: Mapping[str, pd.DataFrame],
    validation: pd.DataFrame | None,
    submission: Mapping[str, Any] | None,
    task: Task | None = None,
) -> Path:
    """Write the self-contained page `out` (an .html file) in one step and return its path.

    `best`: the row of the chosen trial, None if none has finished; `curves`: the epochs of the trials to
    draw, by trial id (`plots.curves_to_draw`); `validation`: the chosen trial's validation table (photo,
    group, fold, label, p00, ...); `submission`: the content of submission.json; `task`: that of the trials.
    """
    table, metric = ranking.table, ranking.metric
    roles = ranking.roles(best)
    searched, finished = searched_columns(table), with_limits(ranking)
    limits = "" if best is None else "".join(finished[LIMITS][finished["trial"] == best["trial"]])
    marked = {role: row["trial"] for role, row in roles.items() if row is not None}
    shared = constants(table).items()
    same = [(name, text) for name, text in shared if name not in searched and text != "–"]
    return write_page(
        out,
        "report.html.j2",
        name=experiment_name,
        score_words=_score_words(ranking, task),
        held_out=task.groups if task else "groups",
        best=best,
        counts=count_words(table),
        choice_words=table.attrs.get("chosen", ""),
        alarms=[*_note(ranking), *alarms_of(None, submission)],
        headline=headline(roles, len(ranking.ranked), metric, limits),
        trust_words=_trust_words(ranking, best),
        chosen_words=_chosen_words(ranking, best),
        finished=trials_table(finished, searched, marked, metric=metric),
        unranked=trials_table(ranking.unranked, searched, marked, with_reason=True, metric=metric),
        running=bool(table["state"].isin(["running", "waiting"]).any()),
        same=same,
        recipe=compare_recipes(roles, recipe_columns(table), metric),
        submission=None if submission is None else submission_facts(submission),
        **_curves(ranking, curves, marked),
        **_progress(ranking, marked),
        **_search(ranking, searched, marked.get("best")),
        **classes_of(validation, task),
    )


def _score_words(ranking: Ranking, task: Task | None) -> str:
    """What the scores are: 'macro-F1 over all 12 classes'."""
    if ranking.metric != "macro_f1":
        return ranking.score
    return f"{ranking.score} over all {f'{task.n_classes} ' if task else ''}classes"


def _trust_words(ranking: Ranking, best: pd.Series | None) -> list[str]:
    """What the chosen trial promises on new groups, if it is the first one."""
    if best is None or ranking.first is None or best["trial"] != ranking.first["trial"]:
        return []
    return [words.replace("note: ", "Note: ") for words in trust_words(ranking)]


def _note(ranking: Ranking) -> list[str]:
    """The ranking's note as a sentence, if it has one."""
    return [f"{ranking.note[0].upper()}{ranking.note[1:]}."] if ranking.note else []


def _chosen_words(ranking: Ranking, best: pd.Series | None) -> str:
    """A sentence if the chosen trial isn't the top one (because a network was asked for, say)."""
    top = ranking.first
    if best is None or top is None or best["trial"] == top["trial"]:
        return ""
    return (
        f"The chosen trial #{best['sequence']} isn't the top one: that is #{top['sequence']} "
        f"with {top[ranking.column]:.3f}. 'Best' on this page means the chosen one."
    )


def _curves(ranking: Ranking, curves: Mapping[str, pd.DataFrame], marked: dict[str, str]) -> dict:
    if not curves:
        return {"curves": None, "curves_words": "", "losses": None}
    table, metric = ranking.table, ranking.metric
    words = f"Validation {ranking.score} after each epoch, one line per trial; a dotted line did not finish."
    if len(curves) >= plots.MAX_CURVES < len(table):
        words += f" Only the best {plots.MAX_CURVES} of {len(table):,} trials are drawn."
    best_epochs = curves.get(marked.get("best", ""))
    return {
        "curves": plots.learning_curves(table, curves, marked, metric),
        "curves_words": words,
        "losses": None if best_epochs is None or best_epochs.empty else plots.losses(best_epochs, metric),
    }


def _progress(ranking: Ranking, marked: dict[str, str]) -> dict:
    rows = best_so_far(ranking)
    if rows.empty:
        return {"progress": None, "progress_words": ""}
    words = (
        f"Validation {ranking.score} of each trial's best epoch against the hours of search at its end, "
        "without the time between an end and a resume. Only finished trials count as the best; an open point "
        "is a trial that was paused or stopped, failed, or still runs."
    )
    is_top = ranking.first is not None and ranking.first["trial"] == marked.get("best")
    if is_top:
        words = f"{words} {hours_words(ranking)}".rstrip()
    return {"progress": best_so_far_figure(rows, marked, ranking.metric), "progress_words": words}


def _search(ranking: Ranking, searched: Sequence[str], best: str | None) -> dict:
    finished = len(ranking.ranked)
    if finished < 2 or not searched:
        why = "Nothing was searched."
        if searched:
            why = f"There is too little to compare: {finished} of {len(ranking.table)} trials finished."
        return {"search": None, "search_words": why, "search_width": 0}
    words = (
        f"One line per finished trial, from its values to its {ranking.score}; the stronger the line, the "
        "higher the score, and the best trial is blue. Names are ordered by their median score, the best on "
        "top; '–': the choice has no such parameter. Drag along an axis to select trials, drag its name to "
        "move it."
    )
    if finished > parallel_coordinates.MAX_LINES:
        words += f" {parallel_coordinates.MAX_LINES} of them are drawn, evenly over the ranking."
    figure = parallel_coordinates.parallel_coordinates(ranking.ranked, list(searched), best, ranking.metric)
    return {"search": figure, "search_words": words, "search_width": 130 * (len(searched) + 1)}
