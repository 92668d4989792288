"""What does the recipe that a search chooses promise, and what does it hold?

    python -m benchmarks.trust.promise [--searches 1000] [--recipes 20] [--table FILE] [--only recorded]

A simulated search picks one of some random recipes, after the best of their epochs, by its scores on
validation people. Recorded: the people of the table that nobody trained on are dealt by `dataset/split.py`
again in each search, a third to validate and the others to score what was chosen. Drawn: close recipes of
known true scores, on 100 drawn people.

For each rule of ranking, the mean (and standard deviation) of the promise minus the true score: for the score
of the epoch that was chosen, for the value that the rule ranks by, and corrected from the answers of all
epochs, or from those of one epoch of each recipe, which is what a run folder holds. `covered`: how often the
interval around the last one holds the true score; that of the recorded people moves as well, as they are few.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.trust.answers import Counts, count
from analysis.trust.bootstrap import intervals, observed, resampled, resamples
from analysis.trust.curves import neighbours_mean
from analysis.trust.selection import correct, of_epochs
from benchmarks.search import table
from benchmarks.trust.populations import (
    CLASSES,
    MANY,
    PHOTOS,
    drawn_answers,
    even,
    everyone,
    persons,
)
from dataset.split import fold_of

METRIC, RESAMPLES, FOLDS = "macro_f1", 500, 3
DRAWN_PEOPLE, DRAWN_EPOCHS, DRAWN_STRENGTH, DRAWN_SPREAD = 100, 8, 1.2, 0.06
DRAWN_PARTS = 6  # of MANY people, for the true scores


def _padded(curves: np.ndarray, by: int = 1) -> np.ndarray:
    """(..., epochs, 2 * by + 1): each epoch among its neighbours."""
    padded = np.concatenate([*[curves[..., :1]] * by, curves, *[curves[..., -1:]] * by], -1)
    return np.lib.stride_tricks.sliding_window_view(padded, 2 * by + 1, axis=-1)


def _only_last(curves: np.ndarray, values: np.ndarray) -> np.ndarray:
    ranked = np.full_like(curves, -np.inf)
    ranked[..., -1] = values
    return ranked


def _running_mean(curves: np.ndarray) -> np.ndarray:
    found = curves.copy()
    for epoch in range(1, curves.shape[-1]):
        found[..., epoch] = (found[..., epoch - 1] + curves[..., epoch]) / 2
    return found


BEST, NONE = "best epoch", "no choice"
RULES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    BEST: lambda curves: curves,
    "last epoch": lambda curves: _only_last(curves, curves[..., -1]),
    "median of 3": lambda curves: np.median(_padded(curves), -1),
    "median of 5": lambda curves: np.median(_padded(curves, 2), -1),
    "mean of 3": neighbours_mean,
    "mean of 5": lambda curves: _padded(curves, 2).mean(-1),
    "running mean": _running_mean,
    "mean of last 3": lambda curves: _only_last(curves, curves[..., -3:].mean(-1)),
}
# The recipe by the mean of 3, but its weights are those of its best epoch, which is what a run folder holds.
KEPT = "mean of 3, best kept"
PROMISES = ("epoch's score", "rule's value", "corrected", "from one epoch")  # of Outcome


@dataclass(frozen=True)
class Outcome:
    """Of one search by one rule: the true score of what it chose, the PROMISES, and whether the interval
    around the last one covers the truth (None without one)."""

    true: float
    promises: tuple[float, ...]
    covered: bool | None


def outcomes(counts: Counts, true: np.ndarray, seed: int) -> dict[str, Outcome]:
    """The outcome of each rule. `counts`: of the validation people, whose recipes are the recipes' epochs;
    `true` (recipes, epochs). NONE: the mean of all recipes' last epochs."""
    shape = true.shape
    scores = observed(counts, METRIC).reshape(shape)
    found = resampled(counts, resamples(counts.n_groups, RESAMPLES, seed), METRIC)
    deviations = (found - found.mean(0)).reshape(-1, *shape)
    each, kept = np.arange(shape[0]), scores.argmax(1)
    by_chance = float(true[:, -1].mean()), float(scores[:, -1].mean())
    results = {NONE: Outcome(by_chance[0], (by_chance[1], np.nan, np.nan, np.nan), None)}
    for name, rule in [*RULES.items(), (KEPT, neighbours_mean)]:
        ranked = rule(scores)
        recipe = int(ranked.max(1).argmax())
        epochs = (scores if name == KEPT else ranked).argmax(1)
        at = recipe, epochs[recipe]
        everything = correct(scores, deviations, rule)
        one_epoch = correct(scores, of_epochs(deviations[:, each, kept], scores, seed), rule)
        own = intervals(counts.recipes([int(np.ravel_multi_index(at, shape))]), METRIC, RESAMPLES, seed)[0]
        moved = one_epoch.value - own.value
        promises = float(scores[at]), float(ranked.max()), everything.value, one_epoch.value
        covered = own.low + moved <= true[at] <= own.high + moved
        results[name] = Outcome(float(true[at]), promises, bool(covered))
    return results


def recorded_searches(path: Path, searches: int, recipes: int) -> Iterator[dict[str, Outcome]]:
    """Searches among the recipes of a table."""
    answers, labels = everyone(table.read(path))
    people, _, known, epochs = answers.shape
    predicted = answers.reshape(people * PHOTOS, -1)
    who = persons(labels.ravel())
    everybody = count(labels.ravel(), predicted, who, CLASSES)
    dealt = pd.DataFrame({"group": who, "label": labels.ravel()})
    for search in range(searches):
        rng = np.random.default_rng(search)
        fold = fold_of(dealt, FOLDS, search // FOLDS).to_numpy()[::PHOTOS]
        some = rng.choice(known, min(recipes, known), replace=False)
        columns = (some[:, None] * epochs + np.arange(epochs)).ravel()
        own, others = (
            groups_of(everybody.recipes(columns), side)
            for side in (fold == search % FOLDS, fold != search % FOLDS)
        )
        yield outcomes(own, observed(others, METRIC).reshape(-1, epochs), search)


def groups_of(counts: Counts, some: np.ndarray) -> Counts:
    """Only these groups."""
    return Counts(counts.truth[some], counts.given[some], counts.hits[some])


@cache
def drawn_truth(spread: float) -> np.polynomial.Polynomial:
    """The true score of a recipe by its strength, if these lie `spread` apart."""
    strengths = np.linspace(0.1, DRAWN_STRENGTH + 5 * spread, 24)
    parts = []
    for part in range(DRAWN_PARTS):  # the difficulty of the rare people is the same for all strengths
        predicted, labels = drawn_answers(
            np.random.default_rng([1, part]), even(MANY), strengths, DRAWN_EPOCHS
        )
        flat = labels.ravel()
        counts = count(flat, predicted.reshape(flat.size, -1), persons(flat), CLASSES)
        parts.append(observed(counts, METRIC))
    return np.polynomial.Polynomial.fit(strengths, np.mean(parts, 0), 6)


def drawn_searches(searches: int, recipes: int, spread: float = DRAWN_SPREAD) -> Iterator[dict[str, Outcome]]:
    """Searches among drawn recipes, the closer to each other the smaller `spread`, on people dealt evenly."""
    smooth = drawn_truth(spread)
    rises = 1 - np.exp(-(np.arange(DRAWN_EPOCHS) + 1) / 2)
    for search in range(searches):
        rng = np.random.default_rng([7, search])
        strength = (DRAWN_STRENGTH + spread * rng.normal(size=(recipes, 1))).clip(0.2) * rises
        predicted, labels = drawn_answers(rng, even(DRAWN_PEOPLE), strength.ravel(), DRAWN_EPOCHS)
        flat = labels.ravel()
        counts = count(flat, predicted.reshape(flat.size, -1), persons(flat), CLASSES)
        yield outcomes(counts, smooth(strength), search)


def text(found: Sequence[dict[str, Outcome]]) -> str:
    """A line for each rule."""
    heads = ["against best epoch", *PROMISES]
    lines = [f"{'':22}{'true score':>11}" + "".join(f"{one:>20}" for one in heads)
             + f"{'covered':>9}"]  # fmt: skip
    best = np.array([one[BEST].true for one in found])
    for rule in found[0]:
        true = np.array([one[rule].true for one in found])
        errors = np.array([one[rule].promises for one in found]) - true[:, None]
        gain = true - best
        cells = [f"{gain.mean():+.4f} ± {gain.std() / len(gain) ** 0.5:.4f}"]
        cells += [
            "" if np.isnan(error).any() else f"{error.mean():+.4f} ({error.std():.3f})" for error in errors.T
        ]
        covers = [one[rule].covered for one in found]
        covered = "" if None in covers else f"{np.mean(covers):.1%}"  # type: ignore[arg-type]
        lines.append(
            f"{rule:22}{true.mean():11.4f}" + "".join(f"{cell:>20}" for cell in cells) + f"{covered:>9}"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--searches", type=int, default=1000)
    parser.add_argument("--recipes", type=int, default=20)
    parser.add_argument("--table", type=Path, default=table.SHIPPED)
    parser.add_argument("--only", choices=["recorded", "drawn"])
    parser.add_argument("--spread", type=float, default=DRAWN_SPREAD, help="of the drawn recipes' strengths")
    asked = parser.parse_args(arguments)
    if asked.only != "drawn":
        found = list(recorded_searches(asked.table, asked.searches, asked.recipes))
        print(
            f"recorded, {asked.searches:,} searches among {asked.recipes} recipes\n{text(found)}", flush=True
        )
    if asked.only != "recorded":
        found = list(drawn_searches(asked.searches, asked.recipes, asked.spread))
        print(f"\ndrawn, {asked.searches:,} searches among {asked.recipes} recipes\n{text(found)}")


if __name__ == "__main__":
    main()
