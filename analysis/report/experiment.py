"""An experiment's report: one page with its trials, curves, search, best recipe and submission."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.report import parallel_coordinates, plots
from analysis.report.attribution import MAX_EFFECTS, effects_figure, importance_figure
from analysis.report.best_so_far import best_so_far, best_so_far_figure, limits_of
from analysis.report.checks import Check, checks_of
from analysis.report.classes import classes_of
from analysis.report.damaged import read_or_note
from analysis.report.lineage import Line, commands_of_experiment, lineage_of
from analysis.report.mistakes import photos_of
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
from analysis.submission import BEST_MEMBER, CSV
from analysis.trials.hours import hours_words
from analysis.trials.printing import LIMITS, ZERO, trust_words, with_limits
from analysis.trials.ranking import Ranking
from analysis.trials.table import Experiment, argument_of, recipe_columns
from analysis.trust.answers import validation_of
from analysis.trust.leaders import OF_TRIAL, promised_words
from common.text import few, fixed_text, path_text, value_text
from dataset.task import Task
from trial.metrics import column_of
from trial.run_folder.record import EPOCHS, VALIDATION, RunFolder

NAMED = 12  # values of a recipe in a sentence


@dataclass(frozen=True)
class Best:
    """What a page shows of the chosen run: its validation table and task, (photo, path) of its photos, where
    it comes from, the commands that make it again, and what audits and an ensemble found. Each is empty where
    the run does not have it."""

    validation: pd.DataFrame | None = None
    task: Task | None = None
    photos: pd.DataFrame | None = None
    lineage: Sequence[Line] = ()
    commands: Sequence[Line] = ()
    submission: str = ""
    checks: Mapping[str, Any] = field(default_factory=lambda: checks_of((), None, ""))


def write_experiment_report(
    experiment: Experiment,
    path: Path,
    ranking: Ranking,
    best: pd.Series | None,
    submission: Mapping[str, Any] | None = None,
    checks: Sequence[Check] = (),
) -> Path:
    """Write the report of an experiment to the .html file `path`, from its ranked trials and what their run
    folders hold. `best`: the row of the chosen trial, None if none has finished. `submission`: the content
    of submission.json, if one was made. `checks`: what audits and an ensemble found."""
    folders = {trial: Path(folder) for trial, folder in ranking.table[["trial", "folder"]].to_numpy()}
    having_epochs = [trial for trial, folder in folders.items() if (folder / EPOCHS).exists()]
    keep = [row["trial"] for row in ranking.roles(best).values() if row is not None]
    drawn = plots.curves_to_draw(ranking.table, having_epochs, keep, metric=ranking.metric)
    damaged: list[str] = []
    read = {
        trial: read_or_note(RunFolder(folders[trial]).curve, folders[trial] / EPOCHS, damaged)
        for trial in drawn
    }
    curves = {trial: curve for trial, curve in read.items() if curve is not None}
    name = experiment.name or experiment.id
    folder = path.parent if submission and (path.parent / CSV).is_file() else None
    run = None if best is None else RunFolder(best["folder"])
    commands = commands_of_experiment(argument_of(experiment.folder), run, folder)
    checked = checks_of(checks, run, argument_of(experiment.folder), ranking.leaders.compared)
    found = Best(commands=commands, checks=checked)
    if run is not None:
        found = Best(
            validation=read_or_note(partial(validation_of, run.folder), run.folder / VALIDATION, damaged),
            task=read_or_note(run.task, run.folder / "task.json", damaged),
            photos=photos_of(run),
            lineage=lineage_of(run, best, submission),
            commands=commands,
            submission=path_text(folder / CSV) if folder else "",
            checks=checked,
        )
    return write_report(path, name, ranking, best, curves, found, submission, damaged)


def write_report(
    out: Path,
    experiment_name: str,
    ranking: Ranking,
    best: pd.Series | None,
    curves: Mapping[str, pd.DataFrame],
    found: Best,
    submission: Mapping[str, Any] | None,
    damaged: Sequence[str] = (),
) -> Path:
    """Write the self-contained page `out` (an .html file) in one step and return its path.

    `best`: the row of the chosen trial, None if none has finished; `curves`: the epochs of the trials to
    draw, by trial id (`plots.curves_to_draw`); `found`: of the chosen trial; `submission`: the content of
    submission.json; `damaged`: sentences on what could not be read.
    """
    table, metric = ranking.table, ranking.metric
    roles = ranking.roles(best)
    searched, finished = searched_columns(table), with_limits(ranking)
    limits = "" if best is None else "".join(finished[LIMITS][finished["trial"] == best["trial"]])
    marked = {role: row["trial"] for role, row in roles.items() if row is not None}
    shared = constants(table).items()
    same = [(name, text) for name, text in shared if name not in searched and text != "–"]
    groups = found.task.groups if found.task else "groups"
    is_promised = _is_first(ranking, best) and "no_promise" not in (submission or {})
    promises = [(submission or {}).get(name) or {} for name in ("promise", BEST_MEMBER)]
    other = next((promise for promise in promises if {OF_TRIAL, "lowered_by"} & promise.keys()), None)
    return write_page(
        out,
        "report.html.j2",
        name=experiment_name,
        score_words=_score_words(ranking, found.task),
        held_out=groups,
        best=best,
        counts=count_words(table),
        choice_words=table.attrs.get("chosen", ""),
        alarms=[*_note(ranking), *alarms_of(None, submission), *damaged],
        answer=_answer(best, searched),
        promise=_promise(ranking, other) if is_promised else None,
        headline=headline(roles, len(ranking.ranked), metric, limits),
        repeated=ranking.repeats is not None,
        confirmed_on=ranking.confirmed.where if ranking.confirmed else "",
        trust_words=_trust_words(ranking, other, groups) if is_promised else [],
        chosen_words=_chosen_words(ranking, best),
        finished=trials_table(finished, searched, marked, metric),
        unranked=trials_table(ranking.unranked, searched, marked, metric, with_reason=True),
        running=bool(table["state"].isin(["running", "waiting"]).any()),
        same=same,
        recipe=compare_recipes(roles, recipe_columns(table), metric),
        submission=None if submission is None else submission_facts(submission),
        **_curves(ranking, curves, marked),
        **_progress(ranking, marked),
        **_search(ranking, searched, marked.get("best")),
        **_attribution(ranking),
        **classes_of(found.validation, found.task, found.photos),
        lineage=found.lineage,
        commands=found.commands,
        submission_path=found.submission,
        voters=len((submission or {}).get("members", ())),
        **found.checks,
    )


def _score_words(ranking: Ranking, task: Task | None) -> str:
    """What the scores are: 'macro-F1 over all 12 classes'."""
    if ranking.metric != "macro_f1":
        return ranking.score
    return f"{ranking.score} over all {f'{task.n_classes} ' if task else ''}classes"


def _answer(best: pd.Series | None, searched: Sequence[str]) -> str:
    """The chosen recipe in a sentence: the searched values."""
    if best is None:
        return ""
    known = [(name, value_text(best[name])) for name in searched if name in best]
    values = [f"{name} {text}" for name, text in known if text != "–"]
    of_it = f": {few(values, NAMED)}" if values else ""
    return f"The best recipe is that of trial #{best['sequence']}{of_it}."


def _promise(ranking: Ranking, other: Mapping[str, Any] | None) -> dict[str, str] | None:
    """What the first trial promises on new groups, or its submission if that is another, and which trials are
    not significantly different."""
    leaders, promise = ranking.leaders, ranking.leaders.promise
    if promise is None:
        return None
    equal = [f"#{ranking.numbers[run]}" for run in leaders.equal]
    more = f", on {leaders.confirmed.where}" if leaders.confirmed else ""
    shown = other or {column_of(ranking.metric): promise.value, "low": promise.low, "high": promise.high}
    return {
        "score": fixed_text(shown[column_of(ranking.metric)]),
        "words": f"95 %: {fixed_text(shown['low'])} to {fixed_text(shown['high'])}",
        "equal": few(equal) or "none",
        "equal_words": f"of the best {leaders.chosen_from} trials{more}" if leaders.chosen_from > 1
        else "a single trial",
    }  # fmt: skip


def _is_first(ranking: Ranking, best: pd.Series | None) -> bool:
    """Whether the chosen trial is the first one of the ranking."""
    return best is not None and ranking.first is not None and bool(best["trial"] == ranking.first["trial"])


def _attribution(ranking: Ranking) -> dict:
    """What decides the score."""
    if not ranking.table.attrs.get("searched") or len(ranking.ranked) < 2:
        return {"importance": None, "effects": None, "effect_words": [], "attribution_notes": []}
    found = ranking.attribution
    words = [f"{one}{ZERO if one.contains_zero else ''}" for one in found.effects]
    return {
        "importance": importance_figure(found.importance) if found.importance else None,
        "effects": effects_figure(found.effects, ranking.score) if found.effects else None,
        "effect_words": words if len(words) > MAX_EFFECTS else [],
        "attribution_notes": [f"Note: {note}." for note in found.notes],
    }


def _trust_words(ranking: Ranking, other: Mapping[str, Any] | None, groups: str) -> list[str]:
    """What the first trial promises on new groups, and its submission if that is another."""
    words = [words.replace("note: ", "Note: ") for words in trust_words(ranking)]
    if other and OF_TRIAL in other:
        words.append(f"The retrained network promises {promised_words(other, ranking.metric, groups)}.")
    elif other:
        loses = f"{other['lowered_for']} loses {fixed_text(other['lowered_by'])} on the validation photos"
        words.append(
            f"The submission promises {fixed_text(other[column_of(ranking.metric)])}, since {loses}."
        )
    return words


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
        f"with {fixed_text(top[ranking.column])}. 'Best' on this page means the chosen one."
    )


def _curves(ranking: Ranking, curves: Mapping[str, pd.DataFrame], marked: dict[str, str]) -> dict:
    if all(len(curve) < 2 for curve in curves.values()):
        number = "more than one" if curves else "an"
        return {"curves": None, "curves_words": f"No trial has reported {number} epoch.", "losses": None}
    table, metric = ranking.table, ranking.metric
    words = f"Validation {ranking.score} after each epoch, one line per trial; a dotted line did not finish."
    limits = {trial: found for trial, found in limits_of(ranking).items() if trial in marked.values()}
    if limits:
        words += " The bars are 95 % intervals of the best epochs."
    if len(curves) >= plots.MAX_CURVES < len(table):
        words += f" Only the best {plots.MAX_CURVES} of {len(table):,} trials are drawn."
    best_epochs = curves.get(marked.get("best", ""))
    return {
        "curves": plots.learning_curves(table, curves, marked, metric, limits),
        "curves_words": words,
        "losses": None if best_epochs is None or best_epochs.empty else plots.losses(best_epochs, metric),
    }


def _progress(ranking: Ranking, marked: dict[str, str]) -> dict:
    rows = best_so_far(ranking)
    if rows.empty:
        return {"progress": None, "progress_words": ""}
    words = (
        f"Validation {ranking.score} of each trial's best epoch against the time of search at its end, "
        "without the time between an end and a resume. Only finished trials count as the best; an open point "
        "is a trial that was paused or stopped, failed, or still runs. The bars are 95 % intervals."
    )
    if ranking.first is not None and ranking.first["trial"] == marked.get("best"):
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
