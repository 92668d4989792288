"""Does a search choose better if leaders that do not differ significantly are trained on further folds?

    python -m benchmarks.trust.confirming [--searches 300] [--leaders 5] [--only recorded]

Simulated searches among 20 recipes, as in benchmarks/trust/promise.py; then as many of the leaders as asked
are scored on other people, round after round, and those that fall behind are out (analysis/confirm.py).
Recorded: 300 people whom nobody trained on are dealt into five folds: one for the search, two for rounds, two
for the true score; each recipe was trained once, so that its luck in training stays. Drawn: 100 new people in
each round, and new luck in training: a recipe's strength moves by LUCK, and the true score is without it.

After the search and each round: the true score of the first one, minus that of the search's first one; the
promise minus the true score; how often its interval holds the true score; the networks trained; and by what
the best leader's true score is above that of the best one still compared.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.trust.answers import Counts, count
from analysis.trust.bootstrap import observed
from analysis.trust.confirmed import staying
from analysis.trust.curves import neighbours_mean
from analysis.trust.selection import select
from benchmarks.search import table
from benchmarks.trust.populations import CLASSES, PHOTOS, drawn_answers, even, everyone, persons
from benchmarks.trust.promise import (
    DRAWN_EPOCHS,
    DRAWN_PEOPLE,
    DRAWN_SPREAD,
    DRAWN_STRENGTH,
    METRIC,
    drawn_truth,
    groups_of,
)
from dataset.split import fold_of

RECIPES, RESAMPLES, FOLDS, ROUNDS, LUCK = 20, 300, 5, 4, 0.04
Scored = tuple[Counts, np.ndarray]  # of each recipe: the counts of its best epoch, its curve (epochs,)


@dataclass(frozen=True)
class Search:
    """`first`: what the search saw. `rounds`: each gives what is seen of some of the recipes. `true`
    (recipes, epochs)."""

    first: Scored
    rounds: Sequence[Callable[[np.ndarray], Scored]]
    true: np.ndarray


@dataclass(frozen=True)
class Line:
    """After the search or a round."""

    gain: float
    error: float
    covered: bool
    runs: int
    lost: float


def scored(counts: Counts, epochs: int) -> Scored:
    """`counts`: of all epochs of the recipes."""
    curves = observed(counts, METRIC).reshape(-1, epochs)
    return counts.recipes(list(np.arange(len(curves)) * epochs + curves.argmax(1))), curves


def confirmed(search: Search, most: int) -> list[Line]:
    """A line for the search, and for each round; without leaders to compare they are all the same."""
    counts, curves = search.first
    found = select(counts, METRIC, curves, RESAMPLES)
    true = search.true[np.arange(len(curves)), neighbours_mean(curves).argmax(1)]
    alive = np.array([found.winner, *found.equal][:most])
    of_search, best, runs = true[alive[0]], true[alive].max(), 0
    seen: list[tuple[np.ndarray, Scored]] = []
    lines = []
    for play in (None, *search.rounds):
        if play and len(alive) > 1:
            seen.append((alive, play(alive)))
            runs += len(alive)
            parts = [(own[0].recipes(at), own[1][at]) for who, own in seen for at in [_places(who, alive)]]
            found = select(
                joined([part for part, _ in parts]), METRIC, np.mean([one for _, one in parts], 0), RESAMPLES
            )
            alive = alive[staying(found)]
        value = true[alive[0]]
        covered = found.promise.low <= value <= found.promise.high
        error, lost = found.promise.value - value, best - true[alive].max()
        lines.append(Line(value - of_search, error, bool(covered), runs, lost))
    return lines


def _places(who: np.ndarray, some: np.ndarray) -> list[int]:
    return [int(np.flatnonzero(who == one)[0]) for one in some]


def joined(parts: Sequence[Counts]) -> Counts:
    """The counts of all groups."""
    return Counts(
        *(np.concatenate([getattr(one, name) for one in parts]) for name in ("truth", "given", "hits"))
    )


def recorded_searches(path: Path, searches: int) -> Iterator[Search]:
    """Searches among the recipes of a table."""
    answers, labels = everyone(table.read(path))
    people, _, known, epochs = answers.shape
    who = persons(labels.ravel())
    everybody = count(labels.ravel(), answers.reshape(people * PHOTOS, -1), who, CLASSES)
    dealt = pd.DataFrame({"group": who, "label": labels.ravel()})
    for search in range(searches):
        fold = fold_of(dealt, FOLDS, search).to_numpy()[::PHOTOS]
        some = np.random.default_rng(search).choice(known, RECIPES, replace=False)
        counts = everybody.recipes(list((some[:, None] * epochs + np.arange(epochs)).ravel()))
        first, *others = (scored(groups_of(counts, fold == number), epochs) for number in range(3))
        rounds = [lambda who, own=own: (own[0].recipes(list(who)), own[1][who]) for own in others]
        yield Search(first, rounds, observed(groups_of(counts, fold > 2), METRIC).reshape(-1, epochs))


def drawn_searches(searches: int) -> Iterator[Search]:
    """Searches among drawn recipes, close to each other."""
    smooth = drawn_truth(DRAWN_SPREAD)
    rises = 1 - np.exp(-(np.arange(DRAWN_EPOCHS) + 1) / 2)
    for search in range(searches):
        rng = np.random.default_rng([7, search])
        strength = (DRAWN_STRENGTH + DRAWN_SPREAD * rng.normal(size=RECIPES)).clip(0.2)

        def run(who: np.ndarray, rng=rng, strength=strength) -> Scored:
            own = (strength[who] + LUCK * rng.normal(size=len(who))).clip(0.2)
            predicted, labels = drawn_answers(
                rng, even(DRAWN_PEOPLE), np.ravel(own[:, None] * rises), DRAWN_EPOCHS
            )
            flat = labels.ravel()
            return scored(count(flat, predicted.reshape(flat.size, -1), persons(flat), CLASSES), DRAWN_EPOCHS)

        yield Search(run(np.arange(RECIPES)), [run] * ROUNDS, smooth(strength[:, None] * rises))


def text(found: Sequence[Sequence[Line]]) -> str:
    """A line for the search and each round."""
    heads = ("true score", "promise error", "covered", "networks", "best one lost")
    lines = [f"{'':10}" + "".join(f"{head:>20}" for head in heads)]
    for number, some in enumerate(zip(*found, strict=True)):
        gain = np.array([one.gain for one in some])
        error = np.array([one.error for one in some])
        cells = [
            f"{gain.mean():+.4f} ± {gain.std() / len(gain) ** 0.5:.4f}",
            f"{error.mean():+.4f} ({error.std():.3f})",
            f"{np.mean([one.covered for one in some]):.1%}",
            f"{np.mean([one.runs for one in some]):.1f}",
            f"{np.mean([one.lost for one in some]):.4f}",
        ]
        name = f"round {number}" if number else "search"
        lines.append(f"{name:10}" + "".join(f"{cell:>20}" for cell in cells))
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--searches", type=int, default=300)
    parser.add_argument("--leaders", type=int, default=5)
    parser.add_argument("--table", type=Path, default=table.SHIPPED)
    parser.add_argument("--only", choices=["recorded", "drawn"])
    asked = parser.parse_args(arguments)
    kinds = {
        "recorded": lambda: recorded_searches(asked.table, asked.searches),
        "drawn": lambda: drawn_searches(asked.searches),
    }
    for name, searches in kinds.items():
        if asked.only in (None, name):
            found = [confirmed(search, asked.leaders) for search in searches()]
            print(f"{name}, {asked.searches:,} searches among {RECIPES} recipes, {asked.leaders} leaders")
            print(text(found), flush=True)


if __name__ == "__main__":
    main()
