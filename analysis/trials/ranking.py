"""Which trial is best, by one stated rule."""

import pandas as pd

from common.errors import UsageError

RULE = (
    "the finished trial with the highest macro-F1 of its best epoch, on validation people; of equals "
    "the earlier. Stopped, failed and mismatched trials are not ranked."
)


def rank(table: pd.DataFrame) -> pd.DataFrame:
    """The finished trials of a trials table, best first by RULE."""
    finished = table[(table["state"] == "done") & table["macro_f1"].notna()]
    return finished.sort_values(["macro_f1", "sequence"], ascending=[False, True])


def apart(table: pd.DataFrame) -> pd.DataFrame:
    """The trials that `rank` leaves out, those that somebody should look into first: mismatched, failed,
    running, stopped ones; each by score."""
    left = table[~table["trial"].isin(rank(table)["trial"])]
    urgency = left["state"].map({"mismatch": 0, "failed": 1, "running": 2}).fillna(3)
    ordered = left.assign(urgency=urgency).sort_values(
        ["urgency", "macro_f1"], ascending=[True, False], kind="stable"
    )
    return ordered.drop(columns="urgency")


def best(table: pd.DataFrame, top: int = 1, model: str | None = None) -> pd.DataFrame:
    """The `top` best finished trials, of network `model` where one is asked for.

    UsageError when there are fewer, with what there is instead.
    """
    ranked = rank(table)
    states = ", ".join(f"{n} {state}" for state, n in table["state"].value_counts().items()) or "no trial yet"
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


def default_trial(table: pd.DataFrame) -> pd.Series | None:
    """The trial of the space's default recipe, which tuners.default_first tries first, finished or not; None
    where another tuner searched, or it has no score."""
    if not table.attrs.get("default_first", True):
        return None
    first = table[(table["sequence"] == 0) & table["macro_f1"].notna()]
    return None if first.empty else first.iloc[0]


def median_trial(table: pd.DataFrame) -> pd.Series | None:
    """The finished trial in the middle of the ranking (the lower of two)."""
    ranked = rank(table)
    return None if ranked.empty else ranked.iloc[len(ranked) // 2]
