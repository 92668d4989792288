"""An experiment's report: one page with its trials, curves, search, best recipe and submission."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.report import parallel_coordinates, plots
from analysis.report.page import write_page
from analysis.report.run_facts import alarms_of
from analysis.report.tables import (
    compare_recipes,
    constants,
    count_words,
    headline,
    recipe_columns,
    searched_columns,
    submission_facts,
    trials_table,
)
from analysis.trials.ranking import apart, default_trial, median_trial, rank
from analysis.trials.table import Experiment
from dataset.labels import N_CLASSES
from trial.record import RunFolder, scores_of


def write_experiment_report(
    experiment: Experiment,
    path: Path,
    table: pd.DataFrame,
    best: pd.Series | None,
    submission: Mapping[str, Any] | None = None,
) -> Path:
    """report.html of an experiment, with what its run folders hold."""
    path.parent.mkdir(parents=True, exist_ok=True)
    order = table.sort_values("macro_f1", ascending=False, na_position="last").head(plots.MOST_CURVES)
    named = [default_trial(table), median_trial(table), best]
    folders = dict(zip(order["trial"], order["folder"], strict=True))
    folders |= {row["trial"]: row["folder"] for row in named if row is not None}
    curves = {t: RunFolder(f).curve() for t, f in folders.items() if (Path(f) / "epochs.csv").exists()}
    validation = None if best is None else RunFolder(best["folder"]).validation()
    return write_report(path, experiment.name or experiment.id, table, curves, best, validation, submission)


def write_report(
    out: Path,
    experiment_name: str,
    table: pd.DataFrame,
    curves: Mapping[str, pd.DataFrame],
    best: pd.Series | None,
    validation: pd.DataFrame | None,
    submission: Mapping[str, Any] | None,
) -> Path:
    """Writes the self-contained page `out` (an .html file) in one step and returns it.

    `table` is `trials.trial_table`'s; `curves` maps trial ids to their epochs (those of the best 50 trials
    suffice, see `plots.curves_to_draw`); `best` is the row of the chosen trial, None where none has
    finished; `validation` its photo, person, fold, label, p00..p17; `submission` the submission.json.
    """
    ranked = rank(table)
    roles = _roles(table, best)
    searched = searched_columns(table)
    marked = {role: row["trial"] for role, row in roles.items() if row is not None}
    shared = constants(table).items()
    same = [(name, text) for name, text in shared if name not in searched and text != "–"]
    return write_page(
        out,
        "report.html.j2",
        name=experiment_name,
        n_classes=N_CLASSES,
        best=best,
        counts=count_words(table),
        alarms=alarms_of(None, submission),
        headline=headline(roles, len(ranked)),
        chosen_words=_chosen_words(ranked, best),
        finished=trials_table(ranked, searched, marked),
        apart=trials_table(apart(table), searched, marked, with_reason=True),
        running=bool(table["state"].eq("running").any()),
        same=same,
        recipe=compare_recipes(roles, recipe_columns(table)),
        submission=None if submission is None else submission_facts(submission),
        **_curves(table, curves, marked),
        **_search(table, ranked, searched, marked.get("best")),
        **classes_of(validation),
    )


def _roles(table: pd.DataFrame, best: pd.Series | None) -> dict[str, pd.Series | None]:
    """The rows that stand out, by their role; the first role is the reference of the others."""
    if best is None:
        return {"best": None, "default": None, "median": None}
    return {"best": best, "default": default_trial(table), "median": median_trial(table)}


def _chosen_words(ranked: pd.DataFrame, best: pd.Series | None) -> str:
    """Where the chosen trial isn't the top one (a network was asked for, say), the page says so."""
    if best is None or ranked.empty or best["trial"] == ranked.iloc[0]["trial"]:
        return ""
    top = ranked.iloc[0]
    return (
        f"The chosen trial #{best['sequence']} isn't the top one: that is #{top['sequence']} "
        f"with {top['macro_f1']:.3f}. 'Best' on this page means the chosen one."
    )


def _curves(table: pd.DataFrame, curves: Mapping[str, pd.DataFrame], marked: dict[str, str]) -> dict:
    drawn = plots.curves_to_draw(table, curves, tuple(marked.values()))
    if not drawn:
        return {"curves": None, "curves_words": "", "losses": None}
    words = "Macro-F1 on the validation people after each epoch, a line a trial; dotted: it didn't finish."
    if len(drawn) >= plots.MOST_CURVES < len(table):
        words += f" Only the best {plots.MOST_CURVES} of {len(table):,} trials are drawn."
    best_epochs = curves.get(marked.get("best", ""))
    return {
        "curves": plots.learning_curves(table, curves, marked),
        "curves_words": words,
        "losses": None if best_epochs is None or best_epochs.empty else plots.losses(best_epochs),
    }


def _search(table: pd.DataFrame, ranked: pd.DataFrame, searched: Sequence[str], best: str | None) -> dict:
    if len(ranked) < 2 or not searched:
        why = "Nothing was searched."
        if searched:
            why = f"There is too little to compare: {len(ranked)} of {len(table)} trials finished."
        return {"search": None, "search_words": why, "search_width": 0}
    words = (
        "A line a trial, from its values to its macro-F1. Names are ordered by their median score, the best "
        "on top; '–' where a choice has no such number. A click on the legend shows or hides a group."
    )
    if len(ranked) > parallel_coordinates.MOST_LINES:
        words += (
            f" At most {parallel_coordinates.MOST_LINES} lines of a group are drawn, evenly over its scores."
        )
    figure = parallel_coordinates.parallel_coordinates(table, list(searched), best)
    return {"search": figure, "search_words": words, "search_width": 130 * (len(searched) + 1)}


def classes_of(validation: pd.DataFrame | None) -> dict:
    """What templates/classes.html.j2 shows; all None without a validation table."""
    if validation is None or validation.empty:
        nothing = dict.fromkeys(("classes", "absent", "recalls", "confusion"))
        return {**nothing, "classes_words": ""}
    classes = plots.class_table(validation)
    scores = scores_of(validation)
    words = (
        f"{len(validation):,} photos of {validation['person'].nunique():,} validation people; "
        f"accuracy {scores.accuracy:.3f}, macro-F1 {scores.macro_f1:.3f}. The six classes of 60 and over "
        f"hold {classes.loc[classes['oldest'], 'photos'].sum() / len(validation):.0%} of the photos, "
        "yet a third of the macro-F1."
    )
    return {
        "classes": list(classes.itertuples()),
        "absent": classes.loc[classes["photos"] == 0, "name"].tolist(),
        "recalls": plots.recalls(classes),
        "confusion": plots.confusion(scores.confusion),
        "classes_words": words,
    }
