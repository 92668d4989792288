"""How much does a split by photo flatter a small network?

    python -m benchmarks.trust.flattered DATA [ANSWERS.csv] [--seeds 2]

A packaged network (NETWORK) is trained on a third of DATA's people with photos, and then with whole people
held out, paired by seed: the macro-F1 of its best epoch on the photos held out and, with ANSWERS, of the same
network on the photos to predict. A training takes about a core minute.
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd

from analysis.predict.trained import predict
from analysis.submission import read_answers
from dataset.read import read_eval, read_train
from dataset.split import fold_of, fraction_of
from trial.config import parse
from trial.metrics import score
from trial.run import run
from trial.run_folder.record import RunWriter

NETWORK = {
    "model": "tf_efficientnet_lite0", "weights": "package", "image_size": "64x48", "optimizer": "adamw",
    "learning_rate": 0.001, "schedule": "onecycle", "batch_size": 32, "epochs": 3, "augment": "light",
    "threads": 1,
}  # fmt: skip
PEOPLE = 1 / 3
BY_PHOTO, BY_GROUP = SPLITS = ("by photo", "by group")
Sides = tuple[pd.DataFrame, pd.DataFrame]


def sides(table: pd.DataFrame, way: str, fold: int, folds: int, seed: int) -> Sides:
    """(training photos, validation photos) of PEOPLE of the groups, by one of SPLITS."""
    some = fraction_of(table, PEOPLE, seed)
    owners = some.assign(group=some["photo"]) if way == BY_PHOTO else some
    held = fold_of(owners, folds, seed) == fold
    return some[~held], some[held]


def scores(data: Path, way: str, seed: int, photos: pd.DataFrame, truth: np.ndarray | None) -> list[float]:
    """Of NETWORK on its validation photos and, with the `truth`, on the `photos` to predict."""

    def split(table: pd.DataFrame, fold: int, folds: int, seed: int) -> Sides:
        return sides(table, way, fold, folds, seed)

    config = parse({**NETWORK, "data": str(data), "seed": seed})
    with tempfile.TemporaryDirectory() as folder, mock.patch("trial.folds.split", split):
        path = Path(folder, "run")
        found = [run(config, RunWriter(path, config), lambda report: None)]
        if truth is not None:
            given = predict(path, photos)
            found.append(score(truth, given.argmax(1), given.shape[1]).macro_f1)
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("answers", type=Path, nargs="?")
    parser.add_argument("--seeds", type=int, default=2)
    asked = parser.parse_args(arguments)
    task, photos, truth = read_train(asked.data).task, read_eval(asked.data), None
    if asked.answers:
        known, _ = read_answers(asked.answers, task)
        truth = known.set_index("ImageID")["ans"].loc[photos["photo"]].to_numpy()
    found = np.empty((asked.seeds, len(SPLITS), 1 + (truth is not None)))
    for seed in range(asked.seeds):
        for number, way in enumerate(SPLITS):
            found[seed, number] = scores(asked.data, way, seed, photos, truth)
            print(f"seed {seed}, {way}: {_words(found[seed, number])}", flush=True)
    for way, mean in zip(SPLITS, found.mean(0), strict=True):
        print(f"mean of {asked.seeds} seeds, {way}: {_words(mean)}")


def _words(values: np.ndarray) -> str:
    return ", seen ".join(
        f"macro-F1 {value:.3f}" if not at else f"{value:.3f}" for at, value in enumerate(values)
    )


if __name__ == "__main__":
    main()
