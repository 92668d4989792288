"""Compare searches on recorded and generated learning curves (`python -m benchmarks.search`).

Of each replay it is measured how much compute all workers together had spent when the first recipe was fully
trained whose result is within MARGIN of the table's best; a search that never finds one counts with the
compute of the whole table. Methods are compared by the share of random search's mean compute, with a
bootstrap interval over repetitions.
"""

import hashlib
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from benchmarks.search import generated, table
from benchmarks.search.table import Curves

MARGIN = 0.01
RANDOM = "random"
GENERATED_TABLES = 10  # of each kind; the repetitions take turns
RANDOM_REPETITIONS = 10  # times as many as of the others: every share is divided by its mean
SLOW = ("Syne Tune ASHABORE", "Syne Tune ASHACQR")  # minutes a replay: a tenth of the repetitions
PLAYED = 0.5  # of the table's compute is played at least
GRID = np.linspace(0, 1, 101)  # shares of the table's compute
SHOWN = (0.1, 0.2, 0.3, 0.5)
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Job:
    """One replay. `table`: a kind of generated tables, or the path of a recorded one; of its first `recipes`
    (None: of all), a random `part` is played, another in each repetition."""

    table: str
    method: str
    workers: int
    repetition: int
    recipes: int | None = None
    part: float = 1.0


@dataclass(frozen=True)
class Played:
    """What is kept of a replay; compute in shares of the table's. `reached`: None if never. `regret` and
    `others`, at the shares GRID: how far the best finished result is below the table's best, and the macro-F1
    of that recipe on people that the search does not see. `lost`: how many of the `good` recipes, those
    within MARGIN of the best, had been begun and lay stopped, or paused, when PLAYED of the table's compute
    was spent."""

    job: Job
    reached: float | None
    regret: list[float]
    others: list[float]
    lost: int
    good: int
    trials: int


def play(job: Job) -> Played:
    from benchmarks.search.rivals import METHODS
    from benchmarks.search.simulate import play

    curves = curves_of(job)
    target = curves.final.max() - MARGIN
    tuner, assessor = METHODS[job.method](curves, job.repetition, job.workers)
    replay = play(curves, tuner, assessor, workers=job.workers, compute=PLAYED * curves.compute, reach=target)
    lost = replay.stopped(PLAYED * curves.compute)
    reached = next(
        (spent / curves.compute for spent, one in replay.best if curves.final[one] >= target), None
    )
    regret, others = _over_compute(curves, replay.best)
    good = curves.good(MARGIN)
    n_lost, n_good = int(good[list(lost)].sum()), int(good.sum())
    return Played(job, reached, regret, others, n_lost, n_good, len(replay.trials))


def _over_compute(curves: Curves, best: Sequence[tuple[float, int]]) -> tuple[list[float], list[float]]:
    """(Regret, macro-F1 on the others) of the best finished recipe at every point of GRID; before the first
    one finishes, those of a recipe that knows nothing, with a macro-F1 of 0."""
    at = np.searchsorted([spent / curves.compute for spent, _ in best], GRID, side="right")
    results = np.array([0.0, *(curves.final[recipe] for _, recipe in best)])[at]
    others = np.array([0.0, *(curves.others[recipe, -1] for _, recipe in best)])[at]
    return (curves.final.max() - results).round(5).tolist(), others.round(5).tolist()


def curves_of(job: Job) -> Curves:
    """The curves that a repetition plays against: repetitions take turns at the seeds of a table, or at the
    tables of a kind."""
    if job.table in generated.KINDS:
        curves = _generated(job.table, job.repetition % GENERATED_TABLES, job.recipes or generated.RECIPES)
    else:
        seeds = _recorded(job.table).seeds
        curves = _of_seed(job.table, seeds[job.repetition % len(seeds)], job.recipes)
    if job.part == 1:
        return curves
    order = np.random.default_rng(job.repetition).permutation(len(curves.points))
    order = np.r_[curves.default, order[order != curves.default]]
    return curves.part(np.sort(order[: round(job.part * len(order))]))


@cache
def _generated(kind: str, number: int, recipes: int) -> Curves:
    return generated.generate(kind, number, recipes)


@cache
def _recorded(path: str) -> table.Table:
    return table.read(Path(path))


@cache
def _of_seed(path: str, seed: int, recipes: int | None) -> Curves:
    curves = _recorded(path).curves(seed)
    return curves.part(np.arange(min(recipes, len(curves.points)))) if recipes else curves


def replays(jobs: Iterable[Job], folder: Path, processes: int) -> Iterator[Played]:
    """Play the jobs, in other processes at low priority. What `folder` has already, played with the same code
    and table, is not played again."""
    left: list[Job] = []
    known: dict[Path, dict[str, Played]] = {}
    for job in jobs:
        path = _kept_in(job, folder)
        if path not in known:
            known[path] = {_key(one.job): one for one in _read(path)}
        if _key(job) in known[path]:
            yield known[path][_key(job)]
        else:
            left.append(job)
    folder.mkdir(parents=True, exist_ok=True)
    for done in _played(left, processes):
        with _kept_in(done.job, folder).open("a") as file:
            file.write(json.dumps(asdict(done)) + "\n")
        yield done


def _played(jobs: Sequence[Job], processes: int) -> Iterator[Played]:
    """The jobs' replays in their order; in this process if `processes` is 1."""
    if processes == 1 or not jobs:
        yield from map(play, jobs)
        return
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    with ProcessPoolExecutor(processes, get_context("spawn"), os.nice, (10,)) as pool:
        yield from pool.map(play, jobs, chunksize=max(1, min(10, len(jobs) // (4 * processes))))


def _read(path: Path) -> Iterator[Played]:
    if path.exists():
        for line in path.read_text().splitlines():
            try:
                kept = json.loads(line)
            except ValueError:  # the last line of a command that was killed
                continue
            yield Played(**{**kept, "job": Job(**kept["job"])})


def _key(job: Job) -> str:
    return json.dumps(asdict(job))


def _kept_in(job: Job, folder: Path) -> Path:
    words = "".join(letter if letter.isalnum() else "-" for letter in job.method)
    return folder / f"{Path(job.table).stem}_{words}_{_mark(job.method, job.table)}.jsonl"


@cache
def _mark(method: str, table: str) -> str:
    """A hash of the table and of the code that a replay of the method depends on."""
    from benchmarks.search.rivals import OURS

    files = [
        HERE / f"{name}.py" for name in ("table", "simulate", "rivals", "recorded", "earlier", "generated")
    ]
    tuners = HERE.parent.parent / "tuners"
    files += sorted(tuners.rglob("*.py")) if method in OURS else sorted((tuners / "spaces").glob("*.py"))
    files += [] if table in generated.KINDS else [Path(table)]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:10]


@dataclass(frozen=True)
class Line:
    """A method on one table. `share` of random search's mean compute, from `low` to `high`; `never`: the
    fraction of replays that found no recipe within MARGIN of the best; `lost`: of those in which one lay
    stopped or paused when PLAYED of the table's compute was spent, `missed`: and no other was finished;
    `recipes_lost`: the fraction of such recipes that lay so; `regret` and `others`: means at the shares
    GRID."""

    table: str
    workers: int
    method: str
    repetitions: int
    compute: float
    share: float
    low: float
    high: float
    never: float
    lost: float
    missed: float
    recipes_lost: float
    regret: list[float]
    others: list[float]


def lines(played: Sequence[Played]) -> list[Line]:
    """A line for each table, number of workers and method; shares of random search with as many workers."""
    groups: dict[tuple[str, int], dict[str, list[Played]]] = {}
    for one in played:
        job = one.job
        groups.setdefault((job.table, job.workers), {}).setdefault(job.method, []).append(one)
    return [
        _line(where, workers, method, found, methods[RANDOM])
        for (where, workers), methods in groups.items()
        for method, found in methods.items()
    ]


def _line(where: str, workers: int, method: str, found: list[Played], by_chance: list[Played]) -> Line:
    ours, chance = (
        np.array([1.0 if one.reached is None else one.reached for one in some]) for some in (found, by_chance)
    )
    share, low, high = share_of(ours, chance)
    return Line(
        table=Path(where).stem,
        workers=workers,
        method=method,
        repetitions=len(found),
        compute=float(ours.mean()),
        share=share,
        low=low,
        high=high,
        never=float(np.mean([one.reached is None for one in found])),
        lost=float(np.mean([one.lost > 0 for one in found])),
        missed=float(np.mean([one.lost > 0 and (one.reached or 1.0) > PLAYED for one in found])),
        recipes_lost=float(np.mean([one.lost / one.good for one in found])),
        regret=np.mean([one.regret for one in found], 0).tolist(),
        others=np.mean([one.others for one in found], 0).tolist(),
    )


def share_of(ours: np.ndarray, chance: np.ndarray, resamples: int = 2000) -> tuple[float, float, float]:
    """mean(ours) / mean(chance) with its 95 % bootstrap interval, both sides resampled; the same every
    time."""
    rng = np.random.default_rng(0)
    means = [some[rng.integers(len(some), size=(resamples, len(some)))].mean(1) for some in (ours, chance)]
    low, high = np.quantile(means[0] / means[1], [0.025, 0.975])
    return float(ours.mean() / chance.mean()), float(low), float(high)


def text(found: Sequence[Line]) -> str:
    """The lines as text, a table for each table and number of workers.

    compute: mean until a recipe within MARGIN of the best was fully trained, as a share of the whole table's;
    of random: the same as a share of random search's; never: searches that found none; lost: searches in
    which such a recipe had been begun and lay stopped or paused when half of the table's compute was spent,
    missed: and no other had been finished; of good: how many of these recipes lay so.
    """
    heads = ["compute", "of random", "95 %", "never", "lost", "missed", "of good", "regret at"]
    heads += [f"{share:.0%}" for share in SHOWN]
    widths = [8, 10, 13, 7, 6, 8, 8, 10, *(8 for _ in SHOWN)]
    rows: list[str] = []
    before = None
    for line in found:
        if (line.table, line.workers) != before:
            before = (line.table, line.workers)
            title = f"{line.table}, {line.workers} worker{'s' * (line.workers > 1)}"
            rows += ["", title, f"{'':32}" + _row(heads, widths)]
        cells = [
            f"{line.compute:.3f}", f"{line.share:.2f}", f"{line.low:.2f} to {line.high:.2f}",
            f"{line.never:.0%}", f"{line.lost:.0%}", f"{line.missed:.0%}",
            f"{line.recipes_lost:.0%}", "",
            *(f"{line.regret[round(share * 100)]:.4f}" for share in SHOWN),
        ]  # fmt: skip
        rows.append(f"{line.method:32}{_row(cells, widths)}  ({line.repetitions} times)")
    return "\n".join(rows[1:])


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))


def unavailable(method: str) -> str:
    """Why a method cannot be played here; '' if it can."""
    from benchmarks.search.rivals import METHODS

    curves = generated.generate("crossing", 0, recipes=20)
    try:
        tuner, _ = METHODS[method](curves, 0, 1)
        tuner.update_search_space(curves.space)
    except ImportError as error:
        return str(error)
    return ""


def _repetitions(method: str, asked: int) -> int:
    if method == RANDOM:
        return asked * RANDOM_REPETITIONS
    return -(-asked // 10) if method in SLOW else asked


def run(
    tables: Sequence[str],
    methods: Sequence[str],
    repetitions: int,
    workers: Sequence[int],
    recipes: int | None,
    part: float,
    folder: Path,
    processes: int,
) -> list[Line]:
    """Play every method on every table and return the lines; random search always among them."""
    methods = [RANDOM, *(name for name in methods if name != RANDOM)]
    jobs = [
        Job(where, method, number, repetition, recipes, part)
        for where in tables
        for number in workers
        for method in methods
        for repetition in range(_repetitions(method, repetitions))
    ]
    played: dict[Job, Played] = {}
    for one in replays(jobs, folder, processes):
        played[one.job] = one
        if sys.stderr.isatty():
            print(f"\r{len(played)} of {len(jobs)} replays", end="", file=sys.stderr, flush=True)
    return lines([played[job] for job in jobs])
