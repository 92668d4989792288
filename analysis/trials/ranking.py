"""Which trial is best, by one stated rule."""

from dataclasses import dataclass

import pandas as pd

from common.errors import UsageError

RULE = (
    "the finished trial with the highest macro-F1 of its best epoch, on validation people; of equal ones "
    "the earlier. Stopped, failed and mismatched trials are not ranked."
)
# Of the trials that are not ranked, the first ones need a look most.
URGENCY = {"mismatch": 0, "failed": 1, "running": 2, "waiting": 2}


@dataclass(frozen=True, eq=False)
class Ranking:
    """The trials of an experiment, ranked. A command computes it once and hands it on.

    `table`: the trials table, in NNI's order. `ranked`: its finished trials, best first by RULE. `unranked`:
    all others, those that need a look first. `default`: the trial of the search space's default recipe,
    finished or not (None if the tuner did not start with it, or it has no score). `median`: the finished
    trial in the middle of the ranking, the lower of two (None if none has finished).
    """

    table: pd.DataFrame
    ranked: pd.DataFrame
    unranked: pd.DataFrame
    default: pd.Series | None
    median: pd.Series | None

    @property
    def first(self) -> pd.Series | None:
        """The best finished trial, None if none has finished."""
        return None if self.ranked.empty else self.ranked.iloc[0]

    def best(self, top: int = 1, model: str | None = None) -> pd.DataFrame:
        """The `top` best finished trials, of network `model` if one is given.

        UsageError if there are fewer; it names what there is.
        """
        states = (
            ", ".join(f"{n} {state}" for state, n in self.table["state"].value_counts().items())
            or "no trial yet"
        )
        ranked = self.ranked
        if ranked.empty:
            raise UsageError(f"no finished trial to choose from ({states}); see: python -m analysis trials")
        if model is not None:
            networks = ranked["model"].str.partition(".")[0]
            of_model = ranked[(ranked["model"] == model) | (networks == model)]
            if of_model.empty:
                have = ", ".join(sorted(ranked["model"].unique()))
                raise UsageError(f"no finished trial of model={model}; finished ones have {have} ({states})")
            ranked = of_model
        if top < 1 or top > len(ranked):
            raise UsageError(f"--top {top}: there are {len(ranked)} finished trials to choose from")
        return ranked.head(top)

    def roles(self, best: pd.Series | None) -> dict[str, pd.Series | None]:
        """The trials to compare, by role: the chosen one (`best`), the default and the median one; all None
        without a chosen one."""
        if best is None:
            return {"best": None, "default": None, "median": None}
        return {"best": best, "default": self.default, "median": self.median}


def rank(table: pd.DataFrame) -> Ranking:
    """Rank the trials of a trials table (`table.trial_table`, `runs.runs_table`)."""
    finished = (table["state"] == "done") & table["macro_f1"].notna()
    ranked = table[finished].sort_values(["macro_f1", "sequence"], ascending=[False, True])
    others = table[~finished]
    urgency = others["state"].map(URGENCY).fillna(max(URGENCY.values()) + 1)
    unranked = (
        others.assign(urgency=urgency)
        .sort_values(["urgency", "macro_f1"], ascending=[True, False], kind="stable")
        .drop(columns="urgency")
    )
    median = None if ranked.empty else ranked.iloc[len(ranked) // 2]
    return Ranking(table, ranked, unranked, _default(table), median)


def _default(table: pd.DataFrame) -> pd.Series | None:
    """The first trial, if the tuner starts with the default recipe (tuners.default_first) and it has a
    score."""
    if not table.attrs.get("default_first", True):
        return None
    first = table[(table["sequence"] == 0) & table["macro_f1"].notna()]
    return None if first.empty else first.iloc[0]
