"""How often do intervals for a score cover the true one?

    python -m benchmarks.trust.coverage [--people 60 200 900] [--samples 500] [--table FILE] [--metric NAME]

Samples of people are drawn from populations whose true score is known: recorded answers on real faces, and
drawn answers (for the log loss drawn ones alone). Of each sample, intervals for the score of a recipe and
for the difference of two are made: ours, other ones from the same resamples, ours over photos instead of
people (of every fourth sample), and those of the package `confidenceinterval`. It takes photos for
independent, and its intervals for macro-F1 are wrong for independent ones, too
(findings/confidenceinterval_macro_f1.sh). The tables say how many in a hundred cover the true value, and the
intervals' mean width.

The package is not among the project's requirements and is left out where it is missing. With
`pip install --no-deps --target DIR confidenceinterval==1.0.5 statsmodels patsy`, it is found by
PYTHONPATH=DIR.
"""

import argparse
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from scipy.stats import norm

from analysis.trust.answers import Counts, count
from analysis.trust.bootstrap import (
    differences,
    intervals,
    observed,
    resampled,
    resamples,
    without_each,
)
from benchmarks.search import table
from benchmarks.trust.populations import (
    CLASSES,
    EVEN,
    RANDOM,
    Population,
    counts_of_losses,
    drawn,
    drawn_losses,
    persons,
    recorded,
)
from trial.metrics import METRICS

RESAMPLES = 1000
OURS, BY_PHOTO, PACKAGE = "ours", "ours over photos", "confidenceinterval"
BY_PHOTO_EVERY = 4  # samples: with seven times as many units it takes longer than all else
STRENGTHS = (0.7, 1.2, 2.0)
Limits = tuple[float, float]


def ways(
    labels: np.ndarray, predicted: np.ndarray, metric: str, seed: int
) -> Iterator[tuple[str, str, Limits]]:
    """(what, way, interval) for the score of the first recipe and its difference from the second."""

    def counted(groups: np.ndarray) -> Counts:
        if metric == "log_loss":
            return counts_of_losses(labels, predicted, groups)
        return count(labels, predicted, groups, CLASSES)

    counts = counted(persons(labels))
    kinds = [(OURS, counts)]
    if seed % BY_PHOTO_EVERY == 0:
        kinds.append((BY_PHOTO, counted(np.arange(len(labels)))))
    for way, of in kinds:
        for what, found in (
            ("score", intervals(of.recipes([0]), metric, RESAMPLES, seed)[0]),
            ("difference", differences(of.recipes([0, 1]), 1, metric, RESAMPLES, seed)[0]),
        ):
            yield what, way, (found.low, found.high)
    of_resamples = resampled(counts, resamples(counts.n_groups, RESAMPLES, seed), metric)
    without = without_each(counts, metric)
    values = observed(counts, metric)
    for what, statistic in STATISTICS.items():
        for way, limits in usual(statistic(values[None])[0], statistic(of_resamples), statistic(without)):
            yield what, way, limits
    if metric in PACKAGED and (package := PACKAGED[metric]()):
        yield "score", PACKAGE, package(labels, predicted[:, 0])


STATISTICS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "score": lambda of: of[:, 0],
    "difference": lambda of: of[:, 0] - of[:, 1],
}


def usual(value: float, found: np.ndarray, without: np.ndarray) -> Iterator[tuple[str, Limits]]:
    """The usual intervals from a bootstrap's resamples (B,) and the values without each group."""
    low, high = np.quantile(found, [0.025, 0.975])
    yield "percentile", (low, high)
    yield "basic", (2 * value - high, 2 * value - low)
    wide = 1.96 * found.std()
    yield "normal", (value - wide, value + wide)
    below = float(np.clip((found < value).mean() + (found == value).mean() / 2, 1e-3, 1 - 1e-3))
    bias, move = norm.ppf(below), without.mean() - without
    skew = (move**3).sum() / (6 * max((move**2).sum(), 1e-30) ** 1.5)
    z = bias + norm.ppf([0.025, 0.975])
    low, high = np.quantile(found, norm.cdf(bias + z / (1 - skew * z)))
    yield "BCa", (low, high)


def _package_f1() -> Callable[[np.ndarray, np.ndarray], Limits] | None:
    try:
        from confidenceinterval import f1_score
    except ImportError:
        return None

    def limits(labels: np.ndarray, predicted: np.ndarray) -> Limits:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of classes that are never predicted
            return f1_score(labels.tolist(), predicted.tolist(), average="macro")[1]

    return limits


def _package_accuracy() -> Callable[[np.ndarray, np.ndarray], Limits] | None:
    try:
        from confidenceinterval import accuracy_score
    except ImportError:
        return None
    return lambda labels, predicted: accuracy_score(labels.tolist(), predicted.tolist())[1]


PACKAGED = {"macro_f1": _package_f1, "accuracy": _package_accuracy}


def coverage(
    population: Population, people: int, dealt: str, samples: int, metric: str
) -> dict[tuple[str, str], tuple[float, float, float]]:
    """{(what, way): (fraction of samples whose interval covers the truth, fraction whose interval lies below
    it, mean width)}."""
    truth = population.score(metric)
    true = {what: float(statistic(truth[None])[0]) for what, statistic in STATISTICS.items()}
    found: dict[tuple[str, str], list[tuple[bool, bool, float]]] = defaultdict(list)
    for sample in range(samples):
        rng = np.random.default_rng([people, sample])
        for what, way, (low, high) in ways(*population.sample(rng, people, dealt), metric, sample):
            found[what, way].append((low <= true[what] <= high, high < true[what], high - low))
    means = {key: np.nanmean(np.array(rows, float), 0).tolist() for key, rows in found.items()}
    return {key: (covered, below, width) for key, (covered, below, width) in means.items()}


def populations(path: Path, metric: str) -> Iterator[tuple[Population, str]]:
    """Each population, and how samples of it are dealt."""
    if metric == "log_loss":  # the recorded table holds classes only
        for strength in STRENGTHS:
            yield drawn_losses(strength), EVEN
        yield drawn_losses(STRENGTHS[-1]), RANDOM
        return
    yield recorded(path), EVEN
    yield recorded(path), RANDOM
    for strength in STRENGTHS:
        yield drawn(strength), EVEN
    yield drawn(STRENGTHS[-1]), RANDOM


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--people", type=int, nargs="+", default=[60, 200, 900])
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--table", type=Path, default=table.SHIPPED)
    parser.add_argument("--metric", choices=list(METRICS), default="macro_f1")
    asked = parser.parse_args(arguments)
    mean: dict[tuple[str, str], list[float]] = defaultdict(list)
    for people in asked.people:
        for population, dealt in populations(asked.table, asked.metric):
            found = coverage(population, people, dealt, asked.samples, asked.metric)
            print(f"\n{people} people, {population.name}, dealt {dealt}", flush=True)
            for (what, way), (covered, below, width) in found.items():
                mean[what, way].append(covered)
                print(
                    f"  {what:11}{way:20}{covered:7.1%}  (too low {below:5.1%})  width {width:.4f}",
                    flush=True,
                )
    print(f"\nlowest, mean and highest coverage, {asked.metric}")
    for (what, way), covers in mean.items():
        print(f"  {what:11}{way:20}{min(covers):7.1%}{np.mean(covers):8.1%}{max(covers):8.1%}")


if __name__ == "__main__":
    main()
