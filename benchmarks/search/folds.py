"""How many folds `tuners.folds.WorseOnFolds` saves, and how often it drops the best recipe, by simulation.

    python -m benchmarks.search.folds [--repetitions 200] [--trials 20] [--sampler random]

Each search tries recipes of the recorded table, every one with several folds; nothing is trained. A fold's
score is the recipe's macro-F1 on people that no search saw, plus what all recipes share in that fold
(standard deviation FOLD), plus its own noise (OWN). OWN is that of docs/ablation.md: the median of its 17
choices' standard deviations of a paired difference, over eight seeds which also determine the split, is .024,
that of two such noises. `close`: all recipes lie four times as near to the best one, as late in a search.
"""

import argparse
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from nni.assessor import Assessor

from benchmarks.search import table
from benchmarks.search.recorded import RecordedSearch
from benchmarks.search.simulate import play
from benchmarks.search.table import Curves
from common.errors import exit_on_usage_error
from tuners.folds import WorseOnFolds
from tuners.search import CannotWin, Search

FOLD, OWN = 0.02, 0.017
SPREADS = {"recorded": 1.0, "close": 0.25}
# (folds, assessor): made after the search, as NNI does it.
ASSESSORS: dict[tuple[int, str], Callable[[], Assessor]] = {
    **{(5, f"p={p:g}"): lambda p=p: WorseOnFolds(5, p) for p in (0.1, 0.13, 0.26)},  # type: ignore[misc]
    (5, "CannotWin"): CannotWin,
    **{(10, f"p={p:g}"): lambda p=p: WorseOnFolds(10, p) for p in (0.01, 0.05, 0.1)},  # type: ignore[misc]
    (10, "CannotWin"): CannotWin,
}


class FoldCurves(Curves):
    """`scores` are means over the folds so far, and the result is the last one, not the best."""

    @cached_property
    def final(self) -> np.ndarray:
        return self.scores[:, -1]


@dataclass(frozen=True)
class Line:
    """`saved`: the fraction of the folds of all trials that were not trained; `dropped`: of the searches,
    those in which the best recipe tried was dropped; `regret`: how far the chosen recipe lies below the best
    one tried, on average; `without`: the same with all folds trained."""

    spread: str
    folds: int
    assessor: str
    saved: float
    dropped: float
    regret: float
    without: float


def fold_curves(
    curves: Curves, folds: int, spread: float, rng: np.random.Generator
) -> tuple[Curves, np.ndarray]:
    """(what the trials of every recipe report, the recipes' true scores)."""
    true = curves.others[np.arange(len(curves.points)), curves.scores.argmax(1)]
    true = true.max() - spread * (true.max() - true)
    scores = true[:, None] + rng.normal(0, FOLD, folds) + rng.normal(0, OWN, (len(true), folds))
    means = scores.cumsum(1) / np.arange(1, folds + 1)
    return FoldCurves(
        "folds", curves.space, curves.points, means, np.ones_like(means), means, curves.default
    ), true


def simulate(
    curves: Curves,
    sampler: str,
    repetitions: int,
    trials: int,
    assessors: Sequence[tuple[int, str]] = tuple(ASSESSORS),
) -> Iterator[Line]:
    """A line for each spread of the recipes and each assessor."""
    for spread, factor in SPREADS.items():
        for folds in dict.fromkeys(folds for folds, _ in assessors):
            made = [
                fold_curves(curves, folds, factor, np.random.default_rng(seed)) for seed in range(repetitions)
            ]
            whole = [_search(*one, sampler, seed, trials, None)[0] for seed, one in enumerate(made)]
            for name in (name for number, name in assessors if number == folds):
                assessor = ASSESSORS[folds, name]
                found = [_search(*one, sampler, seed, trials, assessor) for seed, one in enumerate(made)]
                regret, saved, dropped = (float(column) for column in np.mean(found, axis=0))
                yield Line(spread, folds, name, saved, dropped, regret, float(np.mean(whole)))


def _search(
    curves: Curves,
    true: np.ndarray,
    sampler: str,
    seed: int,
    trials: int,
    assessor: Callable[[], Assessor] | None,
) -> tuple[float, float, float]:
    """(regret, saved, whether the best was dropped)."""
    default = curves.points[curves.default]
    own = RecordedSearch if sampler == "gaussian_process" else Search
    search = own(seed=seed, sampler=sampler, default=default)
    ended = play(curves, search, assessor() if assessor else None, trials=trials).trials
    finals = {trial.recipe: curves.final[trial.recipe] for trial in ended if trial.outcome == "finished"}
    best = max((trial.recipe for trial in ended), key=lambda recipe: true[recipe])
    chosen = max(finals, key=lambda recipe: finals[recipe])
    trained = sum(trial.epochs for trial in ended)
    saved = 1 - trained / (len(ended) * curves.scores.shape[1])
    return float(true[best] - true[chosen]), saved, float(best not in finals)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repetitions", type=int, default=200)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--sampler", choices=("random", "gaussian_process"), default="random")
    asked = parser.parse_args(arguments)
    logging.disable(logging.INFO)
    recorded = table.read()
    curves = recorded.curves(recorded.seeds[0])
    curves = curves.part(np.flatnonzero(np.isfinite(curves.final)))
    heads = ("folds saved", "best dropped", "regret", "without it")
    print(f"{'recipes':10}{'folds':>6} {'assessor':11}" + "".join(f"{head:>14}" for head in heads))
    for line in simulate(curves, asked.sampler, asked.repetitions, asked.trials):
        print(
            f"{line.spread:10}{line.folds:6} {line.assessor:11}{line.saved:14.0%}{line.dropped:14.1%}"
            f"{line.regret:14.4f}{line.without:14.4f}",
            flush=True,
        )


if __name__ == "__main__":
    with exit_on_usage_error():
        main()
