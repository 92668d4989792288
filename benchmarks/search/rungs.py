"""Whether cheap trainings rank recipes as full ones do, and whether a search gains by beginning with them.

    python -m benchmarks.search.rungs [FOLDER] [--table FILE] [--repetitions 100]

FOLDER holds the cheap runs of `benchmarks.search.record --rung`; they join those of rungs.parquet, which is
shipped. Prints, for the recipes that were trained in full and cheaply:

- the rank correlation (Spearman) of the score on the validation people with that of the full training on
  people whom no search sees, with a bootstrap interval over recipes, for a third of the people, small photos,
  and 2, 4 and all of the epochs; `cost`: seconds as a share of the full training's;
- the compute until a fully trained recipe is within .01 of the best, of a search that knows nothing and of
  one to which a cheap experiment was handed by `warm_start`, whose compute counts.
"""

import argparse
import logging
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.stats import rankdata

from benchmarks.search import table
from benchmarks.search.compare import MARGIN
from benchmarks.search.record import RUNGS
from benchmarks.search.recorded import RecordedSearch
from benchmarks.search.second import run_folders
from benchmarks.search.simulate import play
from benchmarks.search.table import Curves, Table, filled
from common.errors import UsageError, exit_on_usage_error
from common.files import write_atomic
from trial.metrics import score

SHIPPED = Path(__file__).with_name("rungs.parquet")
EPOCHS = (2, 4)
TRIALS = (6, 12)  # of the cheap experiment
BOOTSTRAP = 2000
PART = 0.8  # of the recipes, drawn for each replay, so that the interval includes the table's luck


@dataclass(frozen=True)
class Cheap:
    """A recipe trained cheaply. A row per epoch: macro-F1 of the validation people, `seconds`; `predicting`:
    those of one prediction of the validation people."""

    rung: str
    recipe: int
    seed: int
    failed: str
    scores: np.ndarray
    seconds: np.ndarray
    predicting: float


def collect(folder: Path, n_classes: int = 18) -> list[Cheap]:
    """The recorder's complete cheap runs. UsageError if there are none."""
    found = []
    for rung in RUNGS:
        for path in sorted((folder / rung).glob("*-*.npz")):
            recipe, seed = map(int, path.stem.split("-"))
            with np.load(path) as run:
                label = run["validation_label"]
                scores = [score(label, row, n_classes).macro_f1 for row in run["validation"]]
                seconds = np.diff(run["seconds"], prepend=0)
                failed, predicting = str(run["failed"]), float(run["predicting"])
            found.append(Cheap(rung, recipe, seed, failed, np.array(scores), seconds, predicting))
    if not found:
        raise UsageError(
            f"{folder}: no runs (RUNG/RECIPE-SEED.npz): record them with python -m benchmarks.search.record "
            f"DATA {' '.join(f'--rung {rung}' for rung in RUNGS)} --out {folder}"
        )
    return found


def joined(older: Sequence[Cheap], newer: Sequence[Cheap]) -> list[Cheap]:
    """All runs, of the same one the newer."""
    runs = {(run.rung, run.recipe, run.seed): run for run in (*older, *newer)}
    return [runs[key] for key in sorted(runs)]


def write(runs: Sequence[Cheap], path: Path) -> Path:
    columns = {name: [getattr(run, name) for run in runs] for name in Cheap.__dataclass_fields__}
    return write_atomic(path, lambda part: pq.write_table(pa.table(columns), part, compression="zstd"))


def read(path: Path = SHIPPED) -> list[Cheap]:
    try:
        rows = pq.read_table(path, columns=list(Cheap.__dataclass_fields__)).to_pylist()
    except (OSError, pa.ArrowInvalid) as error:
        raise UsageError(f"{path}: not a table of cheap runs ({error})") from None
    return [
        Cheap(**row | {name: np.array(row[name], float) for name in ("scores", "seconds")}) for row in rows
    ]


@dataclass(frozen=True)
class Both:
    """The recipes that were trained in full and at a rung, in the same order. Their costs are those of a
    search, which predicts the validation people only; `cost`: of the cheap trainings, of that in full."""

    rung: str
    full: Curves
    cheap: Curves

    @property
    def cost(self) -> float:
        return float(self.cheap.seconds.sum() / self.full.seconds.sum())


def both(whole: Table, runs: Sequence[Cheap], rung: str) -> Both:
    """UsageError if fewer than three recipes, or not the default, were trained in both ways."""
    seed = whole.seeds[0]
    curves = whole.curves(seed)
    row_of = {run.recipe: row for row, run in enumerate(run for run in whole.runs if run.seed == seed)}
    known = [run for run in runs if run.seed == seed and run.recipe in row_of]
    cheap = {row_of[run.recipe]: run for run in known if run.rung == rung}
    if len(cheap) < 3 or curves.default not in cheap:
        raise UsageError(
            f"{rung}: three recipes, the default among them, must be trained in full and cheaply"
        )
    # Where a prediction is known, on photos of the full size, it is this part of an epoch.
    part = np.median([run.predicting / curves.seconds[row_of[run.recipe], 0]
                      for run in known if RUNGS[run.rung].keys().isdisjoint(curves.space)])  # fmt: skip
    unseen = part * len(whole.labels["others"]) / len(whole.labels["validation"])
    rows = np.array(sorted(cheap))
    full = curves.part(rows)
    points = tuple(
        {**point, **{k: v for k, v in RUNGS[rung].items() if k in full.space}} for point in full.points
    )
    # One recipe's seconds are off by the load of the machine at the time; not the median's.
    share = np.median(
        [cheap[row].seconds.min() / curves.seconds[row, 0] for row in rows if len(cheap[row].seconds)]
    )
    return Both(
        rung,
        replace(full, seconds=full.seconds * (1 - unseen)),
        replace(
            full, name=rung, points=points,
            scores=np.array([filled(cheap[row].scores, whole.epochs) for row in rows]),
            seconds=full.seconds * share,
        ),
    )  # fmt: skip


# Ranks


@dataclass(frozen=True)
class Ranks:
    """`correlation` of the cheap score with the full one on the others, from `low` to `high`; `cost`: seconds
    as a share of the full training's; `place`: of the recipe that is best in full, among all when trained
    cheaply (1: it is the best there, too)."""

    what: str
    recipes: int
    correlation: float
    low: float
    high: float
    cost: float
    place: int


def ranks(found: Both) -> list[Ranks]:
    """Of the rung, and of the first epochs and the full training of the same recipes."""
    epochs = found.full.scores.shape[1]
    lines = [_ranks(found.rung, found.full, found.cheap.final, found.cost)]
    for few in (*EPOCHS, epochs):
        scores = replace(found.full, scores=found.full.scores[:, :few]).final
        lines.append(_ranks(f"{few} of {epochs} epochs", found.full, scores, few / epochs))
    return lines


def _ranks(what: str, full: Curves, scores: np.ndarray, cost: float) -> Ranks:
    epoch = np.nan_to_num(full.scores, nan=-1).argmax(1)
    others = np.where(np.isfinite(full.final), full.others[np.arange(len(scores)), epoch], -np.inf)
    rng = np.random.default_rng(0)
    drawn = rng.integers(len(scores), size=(BOOTSTRAP, len(scores)))
    low, high = np.nanpercentile(_spearman(scores[drawn], others[drawn]), (2.5, 97.5))
    (correlation,) = _spearman(scores[None], others[None])
    place = int((scores > scores[others.argmax()]).sum()) + 1
    return Ranks(what, len(scores), float(correlation), float(low), float(high), cost, place)


def _spearman(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Rank correlation of each row; nan where a row has one value only."""
    ours, theirs = (rankdata(values, axis=1) - (values.shape[1] + 1) / 2 for values in (one, other))
    with np.errstate(invalid="ignore"):
        return (ours * theirs).sum(1) / np.sqrt((ours**2).sum(1) * (theirs**2).sum(1))


# Searches


@dataclass(frozen=True)
class Search:
    """Compute until a fully trained recipe is within MARGIN of the best, in trainings of the mean recipe:
    `alone`, and in all `after` a cheap experiment of `trials`; `saved`: the difference, from `low` to
    `high`."""

    rung: str
    trials: int
    alone: float
    after: float
    saved: float
    low: float
    high: float


def searches(found: Both, trials: int, repetitions: int) -> Search:
    played = np.array([_replay(found, trials, seed) for seed in range(repetitions)])
    saved = played[:, 0] - played[:, 1]
    rng = np.random.default_rng(0)
    means = saved[rng.integers(repetitions, size=(BOOTSTRAP, repetitions))].mean(1)
    low, high = np.percentile(means, (2.5, 97.5))
    alone, after = played.mean(0)
    return Search(
        found.rung, trials, float(alone), float(after), float(saved.mean()), float(low), float(high)
    )


def _replay(found: Both, trials: int, seed: int) -> tuple[float, float]:
    """Compute (alone, in all after the cheap experiment) with a random part of the recipes."""
    count = len(found.full.points)
    order = np.random.default_rng(seed).permutation(count)
    kept = np.r_[found.full.default, order[order != found.full.default]][: round(PART * count)]
    full, cheap = found.full.part(np.sort(kept)), found.cheap.part(np.sort(kept))
    unit = full.compute / len(full.points)
    alone = _until_good(full, seed) / unit
    first = play(cheap, RecordedSearch(seed=seed, default=cheap.points[cheap.default]), trials=trials)
    with tempfile.TemporaryDirectory(prefix="rung-") as folder:
        run_folders(first, Path(folder))
        after = _until_good(full, seed, [folder]) / unit
    return alone, after + first.spent(np.inf) / unit


def _until_good(full: Curves, seed: int, warm_start: Sequence[str] = ()) -> float:
    search = RecordedSearch(seed=seed, default=full.points[full.default], warm_start=warm_start)
    target = full.final.max() - MARGIN
    best = play(full, search, compute=0.0, reach=target).best
    return next(spent for spent, recipe in best if full.final[recipe] >= target)


def cut(found: Both, epochs: int) -> Both:
    """The first epochs of the full training as the cheap one; a short training of its own would have a
    schedule as short."""
    scores, seconds = found.full.scores[:, :epochs], found.full.seconds[:, :epochs]
    return replace(found, rung=f"{epochs} epochs", cheap=replace(found.full, scores=scores, seconds=seconds))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--table", type=Path, default=table.SHIPPED, help="of the full trainings")
    parser.add_argument("--out", type=Path, default=SHIPPED, help="of the cheap ones")
    parser.add_argument("--repetitions", type=int, default=100)
    asked = parser.parse_args(arguments)
    logging.disable(logging.INFO)
    runs = read(asked.out) if asked.out.exists() else []
    if asked.folder:
        runs = joined(runs, collect(asked.folder))
        write(runs, asked.out)
    if not runs:
        raise UsageError(f"no {asked.out}: give the FOLDER of the recorder's runs")
    whole = table.read(asked.table)
    pairs = [both(whole, runs, rung) for rung in RUNGS if any(run.rung == rung for run in runs)]
    print("rank correlation with the full training on other people")
    for line in (line for pair in pairs for line in ranks(pair)):
        print(
            f"  {line.what:14}{line.recipes:4} recipes  {line.correlation:5.2f}  ({line.low:.2f} to "
            f"{line.high:.2f})  cost {line.cost:.2f}  the best is no. {line.place}"
        )
    print(f"compute until within {MARGIN:g} of the best, in trainings of the mean recipe")
    for pair in [*pairs, *(cut(pairs[0], epochs) for epochs in EPOCHS)]:
        for trials in TRIALS:
            found = searches(pair, trials, asked.repetitions)
            print(
                f"  {found.rung:9}{trials:3} cheap trials first {found.after:5.1f}, none {found.alone:5.1f}: "
                f"saves {found.saved:+.1f} ({found.low:+.1f} to {found.high:+.1f})",
                flush=True,
            )


if __name__ == "__main__":
    with exit_on_usage_error():
        main()
