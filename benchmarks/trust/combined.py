"""What do ensembles and the decision layer promise, and what do they hold on other people?

    python -m benchmarks.trust.combined [--deals 60] [--members 5] [--table FILE]
    python -m benchmarks.trust.combined RUN RUN ... [--deals 60] [--data DATA --answers ANSWERS.csv]

Recorded: the best of 20 random recipes of the table are combined by their answers for 100 of the people
that nobody trained on, dealt again each time, and scored on the 200 others. The table has classes, not
probabilities, so the soft vote is the hard one. For each way the mean (and standard deviation) of: its
score on the others, what it gains there over the run that is best on the 100, the nested promise of that
gain minus what it gains, and the same for a promise on the rows that it was fitted to.

With RUNs, trials that were validated on the same people (python -m trial data=DATA seed=0 fold=0 ..., with
other losses or learning rates): the same for their probabilities, with a third of these people to fit; and
for the decision layer of each run, with a multiplier for each rare set of classes, and for each class, from
a single fit and by the mean over resamples. With DATA and ANSWERS, what the decision layer and each way
gain on the photos to predict.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.ensemble import shared_validation
from analysis.predict.combining import BEST, combine, fits_of
from analysis.predict.trained import load
from analysis.predict.vote import WAYS, soft
from analysis.submission import read_answers
from analysis.trust import decision
from analysis.trust.answers import read_probabilities
from analysis.trust.calibration import calibration_error, reliability, temperature_of
from benchmarks.search import table
from benchmarks.trust.populations import CLASSES, everyone, persons
from common.errors import UsageError, exit_on_usage_error
from dataset.read import read_eval
from dataset.split import fold_of
from dataset.task import Task
from trial.metrics import score
from trial.probabilities import tempered
from trial.run_folder.record import RunFolder

TRIED = 20  # recipes, the best of which are combined
METRIC, PARTS = "macro_f1", 3  # one part of the people to fit, the others to see
TAKEN = "taken"  # the way that `combine` takes by itself


@dataclass(frozen=True)
class Outcome:
    """Of one way in one deal: its score on other people, what it gains there, and its promises: nested, and
    on the rows that it was fitted to."""

    seen: float
    gain: float
    nested: float
    fitted: float


def macro_f1(labels: np.ndarray, probabilities: np.ndarray) -> float:
    return score(labels, probabilities.argmax(1), probabilities.shape[1]).macro_f1


def deals(labels: np.ndarray, groups: np.ndarray, number: int) -> Iterator[np.ndarray]:
    """(photos,) which photos are to fit, with whole groups, dealt evenly."""
    people = pd.DataFrame({"group": groups, "label": labels})
    for deal in range(number):
        yield fold_of(people, PARTS, deal // PARTS).to_numpy() == deal % PARTS


def combinations(
    members: Sequence[np.ndarray], labels: np.ndarray, groups: np.ndarray, fit: np.ndarray
) -> dict[str, Outcome]:
    """Each way, fitted to the photos `fit` and seen on the others."""
    own, others = (np.asarray([one[rows] for one in members], np.float64) for rows in (fit, ~fit))
    made = combine(own, labels[fit], groups[fit], METRIC)
    fits = fits_of(own, labels[fit], groups[fit], METRIC)
    fitted = {way: one(np.ones(fit.sum(), bool)) for way, one in fits.items()}
    known, seen = ({way: macro_f1(labels[rows], one.apply(part)) for way, one in fitted.items()}
                   for rows, part in ((fit, own), (~fit, others)))  # fmt: skip
    found = {}
    for way in WAYS:
        gain, promise = seen[way] - seen[BEST], made.gains[way].value
        found[way] = Outcome(seen[way], gain, promise, known[way] - known[BEST])
    found[TAKEN] = found[made.chosen.way]
    found["best nested"] = found[max(WAYS, key=lambda way: made.scores[way].value)]
    return found


def recorded(path: Path, number: int, members: int) -> Iterator[dict[str, Outcome]]:
    """Ensembles of the best of TRIED random recipes of the table, after their last epoch."""
    answers, labels = everyone(table.read(path))
    last, labels = answers[..., -1].reshape(labels.size, -1), labels.ravel()
    groups = persons(labels).astype(str)
    for deal, fit in enumerate(deals(labels, groups, number)):
        tried = np.random.default_rng(deal).choice(last.shape[1], TRIED, replace=False)
        known = [score(labels[fit], last[fit, recipe], CLASSES).macro_f1 for recipe in tried]
        some = tried[np.argsort(known)[::-1][:members]]
        yield combinations([np.eye(CLASSES)[last[:, recipe]] for recipe in some], labels, groups, fit)


def decisions(
    probabilities: np.ndarray, labels: np.ndarray, groups: np.ndarray, fit: np.ndarray, task: Task
) -> dict[str, Outcome]:
    """The decision layer with more and fewer multipliers, fitted to the photos `fit`, seen on the others."""
    own, others = probabilities[fit], probabilities[~fit]
    plain = [macro_f1(labels[rows], probabilities[rows]) for rows in (fit, ~fit)]
    found = {}
    each = tuple((label,) for label in range(task.n_classes))
    for name, sets in (("rare sets", decision.rare_sets(task)), ("each class", each)):
        for bags in (decision.BAGS, 1):
            made = decision.fit(own, labels[fit], groups[fit], sets, bags)
            seen = macro_f1(labels[~fit], made.apply(others))
            fitted = macro_f1(labels[fit], made.apply(own)) - plain[0]
            more = "" if bags > 1 else ", one fit"
            found[name + more] = Outcome(seen, seen - plain[1], np.nan, fitted)
    decided = decision.decide(own, labels[fit], groups[fit], task)
    seen = macro_f1(labels[~fit], decided.decision.apply(others))
    gain = seen - plain[1]
    fitted = macro_f1(labels[fit], decided.decision.apply(own)) - plain[0]
    found["as decided"] = Outcome(seen, gain, decided.gain.value, fitted)
    applied = gain if decided.is_worth_it else 0.0
    found["applied by auto"] = Outcome(plain[1] + applied, applied, np.nan, np.nan)
    return found


def calibrations(probabilities: np.ndarray, labels: np.ndarray, fit: np.ndarray) -> tuple[float, float]:
    """The expected calibration errors on the others: as predicted, and by the temperature of `fit`."""
    temperature = temperature_of(probabilities[fit], labels[fit])
    others = probabilities[~fit]
    before, after = (
        calibration_error(reliability(one, labels[~fit])) for one in (others, tempered(others, temperature))
    )
    return before, after


def text(found: Sequence[dict[str, Outcome]]) -> str:
    """A line for each way."""
    lines = [f"{'':22}{'score':>8}{'gain':>18}{'nested promise':>18}{'promise, fitted':>18}"]
    for way in found[0]:
        rows = [one[way] for one in found]
        seen, gain, nested, fitted = (
            np.array([getattr(row, name) for row in rows]) for name in ("seen", "gain", "nested", "fitted")
        )
        cells = [f"{gain.mean():+.4f} ({gain.std():.3f})"]
        for promise in (nested, fitted):
            errors = promise - gain
            cells.append("" if np.isnan(errors).any() else f"{errors.mean():+.4f} ({errors.std():.3f})")
        lines.append(f"{way:22}{seen.mean():8.4f}" + "".join(f"{cell:>18}" for cell in cells))
    return "\n".join(lines)


def of_runs(runs: Sequence[Path], number: int) -> None:
    """Print what the runs' combinations and decisions hold, on their own validation people."""
    shared, why = shared_validation(runs, [run.name for run in runs], read_probabilities)
    if shared is None:
        raise UsageError(why)
    labels, groups = shared.table["label"].to_numpy(), shared.table["group"].to_numpy(str)
    task = RunFolder(runs[0]).task()
    dealt = list(deals(labels, groups, number))
    if len(runs) > 1:
        found = [combinations(shared.members, labels, groups, fit) for fit in dealt]
        print(f"{len(runs)} runs, {number} deals\n{text(found)}", flush=True)
    for run, own in zip(runs, shared.members, strict=True):
        found = [decisions(own, labels, groups, fit, task) for fit in dealt]
        errors = np.mean([calibrations(own, labels, fit) for fit in dealt], 0)
        print(f"{run.name}: decision layer, {number} deals; calibration error {errors[0]:.3f}, with a "
              f"temperature {errors[1]:.3f}\n{text(found)}", flush=True)  # fmt: skip


def on_answers(runs: Sequence[Path], data: Path, answers: Path) -> None:
    """Print what is promised and seen on the photos to predict of `data`."""
    shared, _ = shared_validation(runs, [run.name for run in runs], read_probabilities)
    assert shared is not None  # as `of_runs` went before
    labels, groups = shared.table["label"].to_numpy(), shared.table["group"].to_numpy(str)
    task, photos = RunFolder(runs[0]).task(), read_eval(data)
    truth = read_answers(answers, task)[0].set_index("ImageID")["ans"].loc[photos["photo"]].to_numpy()
    given = np.array([load(run).predict(photos) for run in runs], np.float64)
    made = combine(shared.members, labels, groups, METRIC)
    fits = fits_of(np.asarray(shared.members, np.float64), labels, groups, METRIC)
    seen = {way: fit(np.ones(len(labels), bool)).apply(given) for way, fit in fits.items()}
    best = macro_f1(truth, seen[BEST])
    print(f"{len(photos):,} photos to predict, best run {best:.4f}")
    for way in WAYS:
        print(f"{way:22}promised {made.gains[way].signed()}  seen {macro_f1(truth, seen[way]) - best:+.4f}")
    for name, validated, predicted in (
        *((run.name, *both) for run, *both in zip(runs, shared.members, given, strict=True)),
        ("soft vote", soft(shared.members), soft(given)),
    ):
        decided = decision.decide(validated, labels, groups, task)
        gain = macro_f1(truth, decided.decision.apply(predicted)) - macro_f1(truth, predicted)
        print(f"{'decision, ' + name:22}promised {decided.gain.signed()}  seen {gain:+.4f}", flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path, nargs="*")
    parser.add_argument("--deals", type=int, default=60)
    parser.add_argument("--members", type=int, default=5)
    parser.add_argument("--table", type=Path, default=table.SHIPPED)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--answers", type=Path)
    asked = parser.parse_args(arguments)
    if asked.runs:
        of_runs(asked.runs, asked.deals)
        if asked.data and asked.answers:
            on_answers(asked.runs, asked.data, asked.answers)
        return
    found = list(recorded(asked.table, asked.deals, asked.members))
    print(f"recorded, {asked.deals} ensembles of {asked.members} recipes\n{text(found)}")


if __name__ == "__main__":
    with exit_on_usage_error():
        main()
