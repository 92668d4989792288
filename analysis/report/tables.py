"""The report's tables, as plain texts for the template."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from analysis.report.page import score_text
from analysis.trials.chosen import CHOICE
from analysis.trials.printing import LIMITS
from analysis.trials.table import SCORES, recipe_columns
from analysis.trust.curves import STEADY
from common.text import counted, fixed_text, value_text
from trial.metrics import column_of, title_of

TITLES = {"sequence": "#", "best_epoch": "best epoch", "epochs_done": "epochs run", "chosen_by": "chosen by",
          "expected_improvement": "expected gain", STEADY: "mean of 3 epochs"}  # fmt: skip
STATES = {
    "done": "finished", "paused": "paused", "stopped_early": "stopped early", "interrupted": "interrupted",
    "mismatch": "mismatched",
}  # fmt: skip


def constants(table: pd.DataFrame) -> dict[str, str]:
    """{name: text} of the recipe's columns that have the same value in every trial."""
    texts = {name: {value_text(value) for value in table[name]} for name in recipe_columns(table)}
    return {name: next(iter(found)) for name, found in texts.items() if len(found) == 1}


def searched_columns(table: pd.DataFrame) -> list[str]:
    """The recipe's columns that the search space varies, from the table's attrs; without these, the columns
    with more than one value."""
    known = [name for name in table.attrs.get("searched", ()) if name in table.columns]
    same = constants(table)
    return known or [name for name in recipe_columns(table) if name not in same]


def count_words(table: pd.DataFrame) -> str:
    """'12 trials: 9 finished, 2 stopped early, 1 failed.'"""
    if table.empty:
        return "No trial has started."
    counts = table["state"].value_counts()
    order = [
        *(name for name in STATES if name in counts),
        *(name for name in counts.index if name not in STATES),
    ]
    parts = ", ".join(f"{counts[name]:,} {STATES.get(name, name)}" for name in order)
    return f"{counted(len(table), 'trial')}: {parts}."


def headline(
    roles: Mapping[str, pd.Series | None], finished: int, metric: str, limits: str = ""
) -> list[dict]:
    """The scores at the top (role, title, score, words), those of `roles`, each compared with the best one.
    `limits`: the interval of the best one's, if it is known."""
    best, facts, column = roles["best"], [], column_of(metric)
    titles = {
        "best": f"Best of {finished:,} finished",
        "default": "Default recipe",
        "median": "Median trial",
    }
    for role, title in titles.items():
        if role not in roles:
            continue
        row = roles[role]
        if row is None or pd.isna(row[column]):
            words = "not finished" if role != "median" else "no finished trial"
            facts.append(dict(role=role, title=title, score=None, words=words))
            continue
        words = f"{title_of(metric)}, trial #{row['sequence']}"
        if role == "best":
            words += f", epoch {value_text(row['best_epoch'])}"
            words += f"; 95 %: {limits}" if limits else ""
        elif best is not None and best["trial"] == row["trial"]:
            words += ", which is the best one"
        elif best is not None:
            gain = best[column] - row[column]
            words += f"; {fixed_text(abs(gain))} {'below' if gain >= 0 else 'above'} the best"
        if row["state"] != "done":
            words += f" ({STATES.get(row['state'], row['state'])}, best so far)"
        facts.append(dict(role=role, title=title, score=row[column], words=words))
    return facts


def trials_table(
    table: pd.DataFrame,
    searched: Sequence[str],
    marked: Mapping[str, str],
    metric: str,
    with_reason: bool = False,
) -> dict:
    """{"columns": name, kind, sorted; "rows": texts, roles} of the trials, in the table's order, with their
    score by `metric`."""
    outcome = ["sequence", "trial", column_of(metric), "best_epoch", "epochs_done", "seconds"]
    if not with_reason:
        outcome[3:3] = [name for name in (STEADY, LIMITS) if name in table and table[name].astype(bool).any()]
    ranked_by = STEADY if STEADY in outcome else column_of(metric)
    outcome += [name for name in CHOICE if name in table]
    names = [*outcome[:2], *(["state", "reason"] if with_reason else []), *outcome[2:]]
    names += [name for name in searched if name not in names]
    roles: dict[str, list[str]] = {}
    for role, trial in marked.items():
        roles.setdefault(trial, []).append(role)
    columns = [
        dict(
            name=TITLES.get(name, name),
            kind="words" if name == "reason" else "number" if _is_number(table[name]) else "",
            sorted=name == ranked_by and not with_reason,
        )
        for name in names
    ]
    texts = [[_cell(name, value) for value in table[name]] for name in names]
    rows = [
        dict(texts=line, roles=roles.get(trial, []))
        for trial, line in zip(table["trial"], zip(*texts, strict=True), strict=True)
    ]
    return {"columns": columns, "rows": rows}


def compare_recipes(roles: Mapping[str, pd.Series | None], names: Sequence[str], metric: str) -> dict | None:
    """The recipes side by side, the best first: `columns` with their score by `metric`, `score` (its column),
    and the lines `differing` and `same`; None without a best one."""
    rows = {role: row for role, row in roles.items() if row is not None}
    if "best" not in rows:
        return None
    titles = {"best": "Chosen", "default": "Default", "median": "Median"}
    return {
        "score": column_of(metric),
        "columns": [
            dict(role=role, title=f"{titles[role]} (#{row['sequence']})", score=row[column_of(metric)])
            for role, row in rows.items()
        ],
        **side_by_side(list(rows.values()), names),
    }


def side_by_side(recipes: Sequence[Mapping[str, Any] | pd.Series], names: Sequence[str]) -> dict:
    """Flattened recipes as lines (name, texts) of the fields that any of them has: `differing` and `same`."""
    lines = [dict(name=name, texts=[value_text(recipe.get(name)) for recipe in recipes]) for name in names]
    lines = [line for line in lines if any(text != "–" for text in line["texts"])]
    return {
        "differing": [line for line in lines if len(set(line["texts"])) > 1],
        "same": [line for line in lines if len(set(line["texts"])) == 1],
    }


def submission_facts(submission: Mapping[str, Any]) -> dict:
    """What the page shows of a submission.json: `facts` (key, text), with one level of nested keys; `recipes`
    as JSON, one or one per member of a vote; `answers`, with the `width` of each bar in percent."""
    facts = []
    for key, value in submission.items():
        if key in ("recipe", "members", "answers", "warnings", "task", "ways"):
            continue
        parts = value.items() if isinstance(value, Mapping) else [("", value)]
        facts += [(f"{key} · {part}" if part else key, value_text(text)) for part, text in parts]
    voters = submission.get("members") or [submission]
    recipes = [voter["recipe"] for voter in voters if isinstance(voter, Mapping) and voter.get("recipe")]
    texts = [json.dumps(recipe, indent=2, ensure_ascii=False) for recipe in recipes]
    answers = submission.get("answers") or []
    most = max([row["fraction"] for row in answers], default=0) or 1
    return {
        "facts": [(key.replace("_", " "), value) for key, value in facts], "recipes": texts,
        "answers": [row | {"width": round(100 * row["fraction"] / most, 1)} for row in answers],
    }  # fmt: skip


def _cell(name: str, value: object) -> str:
    if name in (*SCORES, STEADY):
        return score_text(value)
    if name == "seconds" and isinstance(value, int | float) and value == value:
        return f"{value:.0f}"
    return STATES.get(str(value), str(value)) if name == "state" else value_text(value)


def _is_number(column: pd.Series) -> bool:
    known = column.dropna()
    return bool(len(known)) and bool(pd.to_numeric(known, errors="coerce").notna().all())
