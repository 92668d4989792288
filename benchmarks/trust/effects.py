"""How often the 95 % intervals of effects cover the true ones, and how wide they are, against nearest pairs.

    python -m benchmarks.trust.effects [--searches 150]

Made-up searches over seven parameters, one of them nested, with interactions: recipes drawn at random, or
those that a search which learns would rather try. The rival pairs the trials with one value and those with
the other so that the other parameters differ least, and takes Student's t of the pairs' differences.
"""

import argparse
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment
from scipy.special import stdtrit

from analysis.trust.attribution import _columns, _effects

NOISE = 0.02
ASKED = {"loss": ("cross_entropy", "focal"), "augment": ("none", "light"), "optimizer": ("adam", "sgd")}


def search(random: np.random.Generator, trials: int, learns: bool) -> tuple[pd.DataFrame, np.ndarray]:
    """Recipes and their scores."""
    drawn = 4 * trials if learns else trials
    loss = random.choice(["cross_entropy", "focal", "weighted"], drawn)
    table = pd.DataFrame(
        {
            "model": random.choice(list("abcd"), drawn),
            "loss": loss,
            "learning_rate": 10 ** random.uniform(-4, -2, drawn),
            "weight_decay": 10 ** random.uniform(-5, -1, drawn),
            "size": random.choice([64, 96, 128], drawn),
            "augment": random.choice(["none", "light"], drawn),
            "optimizer": random.choice(["adam", "sgd"], drawn),
            "loss.gamma": np.where(loss == "focal", random.uniform(1, 3, drawn), np.nan),
        }
    )
    scores = truth(table) + random.normal(0, NOISE, drawn)
    if learns:
        kept = np.argsort(-(scores + random.normal(0, 0.05, drawn)))[:trials]
        return table.iloc[kept].reset_index(drop=True), scores[kept]
    return table, scores


def truth(table: pd.DataFrame) -> np.ndarray:
    rate, light = np.log10(table["learning_rate"]) + 3, table["augment"] == "light"
    score = 0.5 - 0.05 * table["model"].map(dict(zip("abcd", range(4), strict=True))) - 0.04 * rate**2
    score += 0.02 * (table["size"] / 32 - 2) + 0.03 * light + 0.04 * (table["optimizer"] == "sgd") * rate
    score -= 0.03 * (light & (table["model"] == "d"))
    focal = 0.02 - 0.02 * (table["loss.gamma"] - 2) ** 2
    return (score + np.where(table["loss"] == "focal", focal, 0)).to_numpy(float)


def true_effect(table: pd.DataFrame, name: str, usual: str, value: str, random: np.random.Generator) -> float:
    """The mean over the recipes of what `value` instead of `usual` changes."""
    scores = []
    for one in (usual, value):
        changed = table.assign(**{name: one})
        if name == "loss":
            gammas = random.choice(table["loss.gamma"].dropna(), len(table))
            changed["loss.gamma"] = gammas if one == "focal" else np.nan
        scores.append(truth(changed).mean())
    return float(scores[1] - scores[0])


def pairs(table: pd.DataFrame, scores: np.ndarray, name: str, usual: str, value: str) -> tuple[float, float]:
    """(Effect, margin) by nearest pairs."""
    apart = np.zeros((len(table), len(table)))
    for column in table.columns.drop([name, *(["loss.gamma"] if name == "loss" else [])]):
        values = table[column]
        if values.dtype == object or values.dtype == "str":
            apart += values.to_numpy()[:, None] != values.to_numpy()
        else:
            ranks = values.rank(pct=True).to_numpy()
            gap = np.abs(ranks[:, None] - ranks)
            both = np.isnan(ranks)[:, None] & np.isnan(ranks)
            apart += np.where(both, 0, np.where(np.isnan(gap), 1, gap))
    ones, others = (np.flatnonzero(table[name] == one) for one in (value, usual))
    at, its = linear_sum_assignment(apart[np.ix_(ones, others)])
    gaps = scores[ones[at]] - scores[others[its]]
    margin = gaps.std(ddof=1) / np.sqrt(len(gaps)) * stdtrit(len(gaps) - 1, 0.975)
    return float(gaps.mean()), float(margin)


def measure(trials: int, learns: bool, searches: int) -> dict[str, tuple[float, float]]:
    """{"regression" or "pairs": (fraction of intervals that cover, their median margin)}."""
    found: dict[str, list[tuple[bool, float]]] = {"regression": [], "pairs": []}
    for seed in range(searches):
        random = np.random.default_rng(seed)
        table, scores = search(random, trials, learns)
        for one in _effects(_columns(table)[0], pd.Series(scores), ())[0]:
            if {one.value, one.other} == set(ASKED.get(one.name, ())) and min(one.trials) >= 5:
                true = true_effect(table, one.name, one.other, one.value, random)
                found["regression"].append((abs(one.effect - true) <= one.margin, one.margin))
                effect, margin = pairs(table, scores, one.name, one.other, one.value)
                found["pairs"].append((abs(effect - true) <= margin, margin))
    return {
        name: (
            float(np.mean([inside for inside, _ in some])),
            float(np.median([margin for _, margin in some])),
        )
        for name, some in found.items()
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--searches", type=int, default=150, help="made-up searches of each kind")
    wanted = parser.parse_args(arguments)
    for learns in (False, True):
        for trials in (40, 60, 120):
            parts = [
                f"{name}: {covered:.0%} covered, ± {margin:.4f}"
                for name, (covered, margin) in measure(trials, learns, wanted.searches).items()
            ]
            kind = "a search that learns" if learns else "at random"
            print(f"{trials} trials, {kind}: {'; '.join(parts)}", flush=True)


if __name__ == "__main__":
    main()
