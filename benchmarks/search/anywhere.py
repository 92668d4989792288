"""Searches that may suggest any point of a space, not only recorded recipes.

    python -m benchmarks.search.anywhere [--repetitions 100] [--method NAME ...] [--scale 0.05]

`python -m benchmarks.search` moves each suggestion to the nearest recorded recipe, which hides how a search
does in the space between and around them. Here a model of the recorded curves (scikit-learn's extremely
randomised trees, over all epochs and the seconds) answers for any point, with the noise of an epoch. Its
answers lie nearer to the mean than real ones; so a curve is stretched to the final score that has the same
rank among the recorded ones: good recipes are as frequent as they are in truth.

A search begins with a random recipe of a score in POOR, as in a space whose first options are no good ones:
the model gives means to the points between the recorded recipes, and few would beat the table's default.

With `--scale` a search is told that fraction of each score, as where recipes differ by little; what is
printed is not scaled.

Prints the best finished score, by what the model says without noise, after as many trainings' worth of
compute as in TRAININGS: means over the repetitions, with the half width of the 95 % interval.
"""

import argparse
import logging
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import cache
from multiprocessing import get_context
from zlib import crc32

import numpy as np
from nni.assessor import Assessor
from nni.tuner import Tuner

from benchmarks.search import table
from benchmarks.search.rivals import RIVALS
from benchmarks.search.simulate import Lookup, play
from benchmarks.search.table import Curves, Point
from common.errors import UsageError, exit_on_usage_error, unknown
from common.machine import cores
from common.progress import track
from tuners.search import CannotWin, PauseAndGoOn, Search
from tuners.spaces.parameter import Params
from tuners.spaces.space import Space

TRAININGS = (8, 12, 20, 30, 50)
NOISE = 0.008  # standard deviation of an epoch's score
MOST = 1000  # points of a search
TREES = 300
RANKED = 3000  # random recipes whose predicted scores are ranked
POOR = 0.12, 0.17

Way = Callable[[int, Point], tuple[Tuner, Assessor | None]]


def _with_pauses(seed: int, default: Point) -> tuple[Tuner, Assessor | None]:
    return Search(seed=seed, default=default), PauseAndGoOn()


def _cannot_win(seed: int, default: Point) -> tuple[Tuner, Assessor | None]:
    return Search(seed=seed, default=default), CannotWin()


def _nnis_tpe(seed: int, default: Point) -> tuple[Tuner, Assessor | None]:
    recorded = _recorded()
    points = [default if at == recorded.default else point for at, point in enumerate(recorded.points)]
    return RIVALS[NNIS_TPE](replace(recorded, points=tuple(points)), seed, 1)


NNIS_TPE = "NNI's TPE, median of finished"
METHODS: dict[str, Way] = {
    "PauseAndGoOn": _with_pauses,
    "CannotWin": _cannot_win,
    "neither": lambda seed, default: (Search(seed=seed, default=default), None),
    "Optuna's TPE": lambda seed, default: (Search(seed=seed, default=default, sampler="tpe"), None),
    NNIS_TPE: _nnis_tpe,
    "random": lambda seed, default: (Search(seed=seed, default=default, sampler="random"), None),
}


class Answers(Curves):
    """Curves that are added while a search is played."""

    @property
    def final(self) -> np.ndarray:  # type: ignore[override]
        return self.scores.max(1)


class Anywhere(Lookup):
    """A recipe of its own for each point, with the curve that a model of the `recorded` ones predicts."""

    def __init__(self, recorded: Curves, scale: float = 1.0):
        self.space, self.scale = Space(recorded.space), scale
        self.free = np.ones(MOST, bool)
        shape = (MOST, recorded.scores.shape[1])
        self.curves = Answers(
            "anywhere", recorded.space, recorded.points, np.zeros(shape), np.ones(shape), np.zeros(shape),
            recorded.default,
        )  # fmt: skip
        self.known = 0

    def nearest(self, params: Params) -> int | None:
        if self.known == MOST:
            return None
        at = self.known
        positions = np.nan_to_num(self.space.positions(params), nan=-1)
        curve, seconds = answer(positions)
        noise = np.random.default_rng(crc32(positions.tobytes())).normal(0, NOISE, len(curve))
        self.curves.scores[at], self.curves.others[at] = self.scale * (curve + noise), curve
        self.curves.seconds[at] = seconds
        self.known += 1
        return at


@cache
def _recorded() -> Curves:
    read = table.read()
    return read.curves(read.seeds[0])


@cache
def _model():
    from sklearn.ensemble import ExtraTreesRegressor

    curves = _recorded()
    space = Space(curves.space)
    positions = np.array([space.positions(space.params(point)) for point in curves.points])
    answers = np.c_[np.nan_to_num(curves.scores), np.log(curves.seconds)]
    trees = ExtraTreesRegressor(TREES, max_features=0.5, random_state=0)
    return trees.fit(np.nan_to_num(positions, nan=-1), answers)


def answer(positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The curve (epochs,) of a recipe, without noise, and the seconds (epochs,)."""
    curve, seconds = np.split(_model().predict(positions[None])[0], 2)
    predicted, recorded = _ranks()
    return curve * (np.interp(curve.max(), predicted, recorded) / curve.max()), np.exp(seconds)


@cache
def _ranks() -> tuple[np.ndarray, np.ndarray]:
    """Final scores of random recipes as the model predicts them, and the recorded ones of the same ranks."""
    curves = _recorded()
    drawn = np.nan_to_num(Space(curves.space).draw(np.random.default_rng(0), RANKED), nan=-1)
    predicted = _model().predict(drawn)[:, : curves.scores.shape[1]].max(1)
    ranks = np.linspace(0, 1, len(curves.points))
    return np.quantile(predicted, ranks), np.quantile(np.delete(curves.final, curves.default), ranks)


def default(seed: int) -> Point:
    """The recipe that a search begins with, another one for each seed."""
    space, rng = Space(_recorded().space), np.random.default_rng((1, seed))
    while True:
        (drawn,) = space.draw(rng, 1)
        curve, _ = answer(np.nan_to_num(drawn, nan=-1))
        if POOR[0] <= curve.max() <= POOR[1]:
            return space.point(space.at(drawn))


def scores(name: str, seed: int, scale: float = 1.0) -> list[float]:
    """The best finished score after each of TRAININGS, 0 before the first one."""
    recorded = _recorded()
    anywhere = Anywhere(recorded, scale)
    tuner, assessor = METHODS[name](seed, default(seed))
    one = recorded.compute / len(recorded.points)
    replay = play(
        anywhere.curves, tuner, assessor, compute=TRAININGS[-1] * one, lookup=anywhere, offer_candidates=False
    )
    true = anywhere.curves.others.max(1)
    return [
        float(true[[recipe for spent, recipe in replay.best if spent <= trainings * one][-1:]].sum())
        for trainings in TRAININGS
    ]


@exit_on_usage_error()
def main() -> None:
    as_written = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=as_written)
    parser.add_argument("--repetitions", type=int, default=100)
    parser.add_argument("--method", action="append", default=[], help=f"of {', '.join(METHODS)}")
    parser.add_argument("--scale", type=float, default=1.0)
    given = parser.parse_args()
    if wrong := [unknown("method", name, METHODS) for name in given.method if name not in METHODS]:
        raise UsageError(wrong)
    if not 0 < given.scale <= 1:
        raise UsageError(f"--scale {given.scale:g}: must be above 0 and at most 1")
    print(f"{'best score after trainings:':32}", *(f"{number:>14}" for number in TRAININGS))
    with ProcessPoolExecutor(cores(), get_context("spawn"), logging.disable, (logging.WARNING,)) as pool:
        for name in given.method or METHODS:
            jobs = [pool.submit(scores, name, seed, given.scale) for seed in range(given.repetitions)]
            each = np.array([job.result() for job in track(jobs, name, "searches")])
            width = 1.96 * each.std(0, ddof=1) / len(each) ** 0.5
            cells = (f"{mean:.3f} +- {half:.3f}" for mean, half in zip(each.mean(0), width, strict=True))
            print(f"{name:32}", *cells, flush=True)


if __name__ == "__main__":
    main()
