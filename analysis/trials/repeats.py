"""Recipes that an experiment trained with several seeds or folds each, as loss.yaml does.

A seed also deals the groups that validate, so the best single trial would be that of a lucky seed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from analysis.trust.confirmed import judge
from analysis.trust.selection import Selection
from common.errors import UsageError, first_line
from common.text import few

REPEATED = ("seed", "fold")  # fields that make another trial of the same recipe


@dataclass(frozen=True, eq=False)
class Repeats:
    """The recipes that were trained with all the values `of` ('seed=0, seed=1'), best first.

    `rows`: the labels of each one's trials in the table, the median one first; `runs`: their folders.
    `selection`: the choice among `compared`, the folder of each one's median trial, by the groups of all its
    trials; None if that is not known, for the reason `why`: then the means of the trials' scores decide.
    """

    of: str
    rows: tuple[tuple[int, ...], ...]
    runs: tuple[tuple[Path, ...], ...]
    compared: tuple[Path, ...]
    selection: Selection | None
    why: str = ""

    @property
    def words(self) -> str:
        """How the trials are ranked, for people."""
        by = f"the means of the trials ({self.why})" if self.why else "the groups of all their trials"
        return (
            f"{len(self.rows)} recipes were trained with {self.of} and are ranked by {by}: the median trial "
            "of each first, then all others"
        )


def repeats_of(ranked: pd.DataFrame, by: pd.Series, searched: Sequence[str], metric: str) -> Repeats | None:
    """The recipes of the finished trials `ranked`, whose scores are `by`, with their repetitions; None if the
    experiment searched no seed or fold, or nothing else, or fewer than two recipes have been trained with all
    of them."""
    repeated = [name for name in REPEATED if name in searched and name in ranked]
    rest = [name for name in searched if name in ranked and name not in repeated]
    if not repeated or not rest or "folder" not in ranked:
        return None
    # As texts: a fold may be 'all'.
    ranked = ranked.sort_values(repeated, kind="stable", key=lambda values: values.astype(str))
    rounds, recipes = (_texts(ranked, names) for names in (repeated, rest))
    every = list(rounds.unique())
    whole = [rows.index for _, rows in rounds.groupby(recipes, sort=False) if list(rows) == every]
    if len(every) < 2 or len(whole) < 2:
        return None
    trials = [_median_first(by[labels]) for labels in whole]
    selection, why = None, ""
    order = sorted(range(len(whole)), key=lambda one: -by[whole[one]].mean())
    try:
        selection, _ = judge([_folders(ranked, labels) for labels in whole], metric)
        order = list(selection.order)
    except (UsageError, ValueError) as error:
        why = first_line(error)
    return Repeats(
        few(every),
        tuple(trials[one] for one in order),
        tuple(_folders(ranked, trials[one]) for one in order),
        tuple(_folders(ranked, labels)[0] for labels in trials),
        selection,
        why,
    )


def _texts(table: pd.DataFrame, names: Sequence[str]) -> pd.Series:
    """'seed=0 fold=1' of each row."""
    return pd.Series(
        [" ".join(f"{name}={row[name]}" for name in names) for _, row in table.iterrows()], table.index
    )


def _folders(table: pd.DataFrame, labels: Sequence[int]) -> tuple[Path, ...]:
    return tuple(map(Path, table["folder"].loc[list(labels)]))


def _median_first(scores: pd.Series) -> tuple[int, ...]:
    """The labels of these trials: the one in the middle, the lower of two, then the others, best first."""
    best_first = list(scores.sort_values(ascending=False, kind="stable").index)
    middle = best_first.pop(len(best_first) // 2)
    return (middle, *best_first)
