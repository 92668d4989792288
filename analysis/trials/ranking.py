"""Which trial is best, by one stated rule."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import pandas as pd

from analysis.trials.repeats import Repeats, repeats_of
from analysis.trust.attribution import Attribution, attribute
from analysis.trust.confirmed import Confirmed, known_of
from analysis.trust.curves import STEADY
from analysis.trust.leaders import MAX_LEADERS, Leaders, leaders_of
from common.errors import UsageError
from trial.catalogue import plain
from trial.metrics import DEFAULT, column_of, title_of
from trial.run_folder.status import DAMAGED

RULE = (
    "the finished trial with the highest mean {score} of three neighbouring epochs, on the photos held out; "
    "of equal ones the earlier. Paused, stopped, failed, mismatched and damaged trials are not ranked."
)
CONFIRMED = (
    " Of {leaders} that are not significantly different on the photos held out, the one that is best on "
    "{where}."
)
BY_REPEATS = " But here {words}."
# Of the trials that are not ranked, the first ones need a look most.
URGENCY = {DAMAGED: 0, "mismatch": 0, "failed": 1, "running": 2, "waiting": 2, "paused": 3}


@dataclass(frozen=True, eq=False)
class Ranking:
    """The trials of an experiment, ranked. A command computes it once and hands it on.

    `table`: the trials table, in NNI's order. `ranked`: its finished trials, best first by RULE. `unranked`:
    all others, those that need a look first. `default`: the trial of the search space's default recipe,
    finished or not (None if the tuner did not start with it, or it has no score). `median`: the finished
    trial in the middle of the ranking, the lower of two (None if none has finished). `metric`: what the
    ranked trials were trained and are ranked by; `others`: the number of finished trials by each other
    metric, which are unranked. `repeats`: the recipes that were trained with several seeds or folds, which
    are ranked before single trials. `leading`: the folders of the first ones by these rules. `confirmed`:
    what further folds say of them, which then decides who comes first; `outdated`: a sentence if that does
    not hold.
    """

    table: pd.DataFrame
    ranked: pd.DataFrame
    unranked: pd.DataFrame
    default: pd.Series | None
    median: pd.Series | None
    metric: str = DEFAULT
    others: Mapping[str, int] = field(default_factory=dict)
    repeats: Repeats | None = None
    leading: tuple[Path, ...] = ()
    confirmed: Confirmed | None = None
    outdated: str = ""

    @property
    def column(self) -> str:
        """The column with the scores by `metric`."""
        return column_of(self.metric)

    @property
    def score(self) -> str:
        """What the score is called in sentences: macro-F1."""
        return title_of(self.metric)

    @property
    def note(self) -> str:
        """A sentence if finished trials differ in their metric, else ''."""
        if not self.others:
            return ""
        found = {self.metric: len(self.ranked), **self.others}
        counts = ", ".join(f"{number} by {title_of(metric)}" for metric, number in found.items())
        return f"the finished trials differ in metric ({counts}), so no one score ranks them all"

    @property
    def rule(self) -> str:
        """How the best trial is chosen, for submission.json."""
        rule = RULE.format(score=self.score)
        if self.repeats:
            rule += BY_REPEATS.format(words=self.repeats.words)
        if self.confirmed:
            rule += CONFIRMED.format(leaders=len(self.confirmed.leaders), where=self.confirmed.where)
        return rule

    @cached_property
    def leaders(self) -> Leaders:
        """What is known of the first ones: intervals, the promise of the best one, its equals."""
        repeats = (self.repeats.compared, self.repeats.selection) if self.repeats else None
        found = leaders_of(self.leading, self.metric, repeats)
        notes = (*found.notes, self.outdated) if self.outdated else found.notes
        return replace(found, confirmed=self.confirmed, notes=notes)

    @cached_property
    def attribution(self) -> Attribution:
        """Which searched parameters decide the score of the finished trials, and what their values give."""
        names = [name for name in self.table.attrs.get("searched", ()) if name in self.ranked]
        return attribute(self.ranked[names], _ranked_by(self.ranked, self.column))

    @cached_property
    def numbers(self) -> dict[Path, int]:
        """{run folder: the trial's number} of the ranked trials."""
        return {Path(one): number for one, number in self.ranked[["folder", "sequence"]].to_numpy()}

    @property
    def first(self) -> pd.Series | None:
        """The best finished trial, None if none has finished."""
        return None if self.ranked.empty else self.ranked.iloc[0]

    def best(self, top: int = 1, model: str | None = None) -> pd.DataFrame:
        """The `top` best finished trials, of network `model` if one is given.

        UsageError if there are fewer; it names what there is. UsageError if they differ in their metric.
        """
        if self.others:
            raise UsageError(f"{self.note}; retrain one of them: python -m analysis retrain RUN/config.json")
        states = (
            ", ".join(f"{n} {state}" for state, n in self.table["state"].value_counts().items())
            or "no trial yet"
        )
        ranked = self.ranked
        if ranked.empty:
            raise UsageError(f"no finished trial to choose from ({states}); see: python -m analysis trials")
        if model is not None:
            of_model = ranked[(ranked["model"] == model) | (ranked["model"].map(plain) == model)]
            if of_model.empty:
                have = ", ".join(sorted(ranked["model"].unique()))
                raise UsageError(f"no finished trial of model={model}; finished ones have {have} ({states})")
            ranked = of_model
        if top < 1 or top > len(ranked):
            raise UsageError(f"--top {top}: there are {len(ranked)} finished trials to choose from")
        return ranked.head(top)

    def roles(self, best: pd.Series | None) -> dict[str, pd.Series | None]:
        """The trials to compare, by role: the chosen one (`best`), the default, if the search has one, and
        the median one; all None without a chosen one."""
        found = {"best": best, "default": self.default, "median": self.median}
        if not _has_default(self.table):
            del found["default"]
        return found if best is not None else dict.fromkeys(found)


def rank(table: pd.DataFrame) -> Ranking:
    """Rank the trials of a trials table (`table.trial_table`, `runs.runs_table`) by the metric that they were
    trained by. If they differ, those of the metric of most of them are ranked, the others are set apart."""
    metrics = pd.Series(DEFAULT, table.index)
    if "metric" in table:  # not in a table without any recipe
        metrics = table["metric"].fillna(DEFAULT)
    finished = (table["state"] == "done") & table["macro_f1"].notna()
    found = dict(Counter(metrics[finished] if finished.any() else metrics).most_common())  # stable
    metric = next(iter(found), DEFAULT)
    column = column_of(metric)
    comparable = finished & (metrics == metric)
    ranked = (
        table[comparable]
        .assign(by=_ranked_by(table, column)[comparable])
        .sort_values(["by", "sequence"], ascending=[False, True])
        .drop(columns="by")
    )
    others = table[~comparable]
    if (apart := finished & ~comparable).any():
        why = metrics.map(lambda name: f"its score is {title_of(name)}, not {title_of(metric)}")
        others = others.assign(reason=others["reason"].where(~apart, why))
    urgency = others["state"].map(URGENCY).fillna(max(URGENCY.values()) + 1)
    unranked = (
        others.assign(urgency=urgency)
        .sort_values(["urgency", column], ascending=[True, False], kind="stable")
        .drop(columns="urgency")
    )
    median = None if ranked.empty else ranked.iloc[len(ranked) // 2]
    repeats = repeats_of(ranked, _ranked_by(ranked, column), table.attrs.get("searched", ()), metric)
    if repeats:
        first = [rows[0] for rows in repeats.rows]
        ranked = ranked.loc[[*first, *ranked.index.difference(first, sort=False)]]
    others_by = {name: number for name, number in found.items() if name != metric and apart.any()}
    leading = tuple(map(Path, ranked["folder"].head(MAX_LEADERS))) if "folder" in ranked else ()
    confirmed, outdated = known_of(leading, metric, set(table["trial"]))
    if confirmed:
        order = {trial: place for place, trial in enumerate(confirmed.trials)}
        last = ranked["trial"].map(order).fillna(len(order))
        ranked = ranked.loc[last.sort_values(kind="stable").index]
    return Ranking(
        table, ranked, unranked, _default(table, column), median, metric, others_by,
        repeats, leading, confirmed, outdated,
    )  # fmt: skip


def _ranked_by(table: pd.DataFrame, column: str) -> pd.Series:
    """STEADY; the score in `column` of a run without a curve, as those of early versions."""
    return table[column].where(table[STEADY].isna(), table[STEADY]) if STEADY in table else table[column]


def _has_default(table: pd.DataFrame) -> bool:
    return bool(table.attrs.get("default_first", True))


def _default(table: pd.DataFrame, column: str) -> pd.Series | None:
    """The first trial, if the tuner starts with the default recipe (tuners.search) and it has a
    score."""
    if not _has_default(table):
        return None
    first = table[(table["sequence"] == 0) & table[column].notna()]
    return None if first.empty else first.iloc[0]
