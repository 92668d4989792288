"""What a search gains from an earlier experiment with another space, by `warm_start`.

    python -m benchmarks.search.second [--repetitions 100] [--trainings 12]

Of the recorded recipes a random half, without those of the network ONLY_SECOND, is what the first experiment
searches, scored on the people that no other replay sees; the other half, without ONLY_FIRST, is what the
second one does, scored on the validation people. So the second one has other recipes, another space and other
people. Both pause trials. Prints how many trainings' worth of compute the second search needs until a fully
trained recipe is within .01 of its best: that knows nothing; that was handed the finished recipes which fit
its space (nothing, if these are too few for warm_start); and that was handed all run folders. What the first
experiment cost does not count.
"""

import argparse
import logging
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.search import table
from benchmarks.search.compare import MARGIN
from benchmarks.search.recorded import RecordedSearch
from benchmarks.search.simulate import Replay, Trial, play
from benchmarks.search.table import Curves
from common.errors import exit_on_usage_error
from common.files import write_json
from common.progress import track
from tuners.errors import UsageError
from tuners.search import PauseAndGoOn

ONLY_FIRST, ONLY_SECOND = "mobilenetv3_small_050", "tf_efficientnet_lite1"
WAYS = ("nothing", "finished ones that fit", "all run folders")
BOOTSTRAP = 2000


def halves(whole: Curves, seed: int) -> tuple[Curves, Curves]:
    """The curves of the first and of the second experiment; both have the default."""
    order = np.random.default_rng(seed).permutation(len(whole.points))
    order = order[order != whole.default]
    middle = len(order) // 2
    people = replace(whole, scores=whole.others)
    return (
        _without(people, ONLY_SECOND, order[:middle]),
        _without(whole, ONLY_FIRST, order[middle:]),
    )


def _without(curves: Curves, network: str, recipes: np.ndarray) -> Curves:
    kept = [recipe for recipe in recipes if curves.points[recipe]["model"]["_name"] != network]
    part = curves.part(np.sort([curves.default, *kept]))
    model = curves.space["model"]
    options = [option for option in model["_value"] if option["_name"] != network]
    return replace(part, space=curves.space | {"model": model | {"_value": options}})


def run_folders(replay: Replay, folder: Path, finished_alone: bool = False) -> None:
    """The latest trial of each recipe as an experiment that warm_start can read."""
    last = {trial.recipe: trial for trial in sorted(replay.trials, key=lambda trial: trial.number)}
    for trial in last.values():
        if trial.outcome == "finished" or not finished_alone:
            _write_run(replay.curves, trial, folder / "trials" / str(trial.number))


def _write_run(curves: Curves, trial: Trial, run: Path) -> None:
    states = {"finished": "done", "failed": "failed"}
    run.mkdir(parents=True)
    write_json(run / "config.json", curves.points[trial.recipe])
    scores = curves.scores[trial.recipe, : trial.epochs]
    status = {"state": states.get(trial.outcome, "interrupted"), "epochs": trial.epochs}
    if trial.outcome == "finished":
        status["score"] = float(curves.final[trial.recipe])
    write_json(run / "status.json", status)
    rows = [f"0,{epoch},{score}" for epoch, score in enumerate(scores, 1)]
    (run / "epochs.csv").write_text("\n".join(["fold,epoch,macro_f1", *rows]) + "\n")


def trainings_needed(whole: Curves, seed: int, trainings: int) -> list[float]:
    """Of the second search, in each of WAYS."""
    first, second = halves(whole, seed)
    search = RecordedSearch(seed=seed, default=first.points[first.default], trainings=trainings)
    earlier = play(first, search, PauseAndGoOn())
    found = [_until_good(second, seed)]
    for finished_alone in (True, False):
        with tempfile.TemporaryDirectory(prefix="second-") as folder:
            run_folders(earlier, Path(folder), finished_alone)
            if finished_alone:
                _drop_outside(Path(folder))
            try:
                found.append(_until_good(second, seed, [folder]))
            except UsageError:  # too few recipes, as warm_start says
                found.append(found[0])
    return [seconds / (second.compute / len(second.points)) for seconds in found]


def _drop_outside(folder: Path) -> None:
    for run in (folder / "trials").iterdir():
        if ONLY_FIRST in (run / "config.json").read_text():
            (run / "status.json").unlink()


def _until_good(curves: Curves, seed: int, warm_start: Sequence[str] = ()) -> float:
    search = RecordedSearch(seed=seed, default=curves.points[curves.default], warm_start=warm_start)
    target = curves.final.max() - MARGIN
    best = play(curves, search, PauseAndGoOn(), compute=0.0, reach=target).best
    return next((spent for spent, recipe in best if curves.final[recipe] >= target), curves.compute)


@exit_on_usage_error()
def main(arguments: Sequence[str] | None = None) -> None:
    as_written = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=as_written)
    parser.add_argument("--repetitions", type=int, default=100)
    parser.add_argument("--trainings", type=int, default=12, help="of the first experiment")
    asked = parser.parse_args(arguments)
    logging.disable(logging.WARNING)
    recorded = table.read()
    whole = recorded.curves(recorded.seeds[0])
    seeds = track(list(range(asked.repetitions)), "second experiments", "searches")
    needed = np.array([trainings_needed(whole, seed, asked.trainings) for seed in seeds])
    rng = np.random.default_rng(0)
    drawn = rng.integers(len(needed), size=(BOOTSTRAP, len(needed)))
    for way, column in zip(WAYS, needed.T, strict=True):
        saved = needed[:, 0] - column
        low, high = np.percentile(saved[drawn].mean(1), (2.5, 97.5))
        print(
            f"{way:24} {column.mean():5.2f} trainings, saves {saved.mean():+.2f} ({low:+.2f} to {high:+.2f})"
        )


if __name__ == "__main__":
    main()
