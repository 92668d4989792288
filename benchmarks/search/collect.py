"""Collect recorded learning curves into the table that replays of searches play against.

    python -m benchmarks.search.collect FOLDER [--out benchmarks/search/table.parquet]

FOLDER holds the runs of `benchmarks.search.record`; they join those of the table, if there is one.
"""

import argparse
import json
import logging
import os
import platform
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.search.record import EPOCHS, RECIPES, recipes
from benchmarks.search.table import PER_EPOCH, SHIPPED, SIDES, SPACE, Point, Run, Table, read, write
from common.errors import UsageError, exit_on_usage_error
from common.machine import processor
from trial.metrics import score
from trial.run_folder.origin import versions


def collect(folder: Path, points: Sequence[Point], epochs: int, n_classes: int = 18) -> Table:
    """The table of the recorder's complete runs in `folder`; `points` are its recipes by number. UsageError
    if there are none, or if they do not belong together."""
    runs: list[Run] = []
    photos: dict[str, np.ndarray] = {}
    for path in sorted(folder.glob("*-*.npz")):
        recipe, seed = map(int, path.stem.split("-"))
        with np.load(path) as found:
            run = {name: found[name] for name in found.files}
        failed = str(run["failed"])
        if recipe >= len(points):
            raise UsageError(
                f"{path}: recipe {recipe}, but there are {len(points)}: give the recorder's --recipes"
            )
        if len(run["seconds"]) != epochs and not failed:
            raise UsageError(f"{path}: {len(run['seconds'])} epochs, not {epochs}: made by another recorder")
        for name in (f"{side}_{what}" for side in SIDES for what in ("label", "group")):
            if not np.array_equal(photos.setdefault(name, run[name]), run[name]):
                raise UsageError(f"{path}: other people than in the first run: record in a new folder")
        scores = {
            side: np.array([score(run[f"{side}_label"], row, n_classes).macro_f1 for row in run[side]])
            for side in SIDES
        }
        per_epoch = {
            "seconds": np.diff(run["seconds"], prepend=0),
            **{name: run[name] for name in PER_EPOCH[1:]},
        }
        answers = {side: run[side] for side in SIDES}
        runs.append(Run(recipe, seed, points[recipe], failed, **per_epoch, scores=scores, answers=answers))
    if not runs:
        raise UsageError(
            f"{folder}: no runs (RECIPE-SEED.npz): record them with python -m benchmarks.search.record"
        )
    return Table(
        json.loads(SPACE.read_text()), epochs, n_classes,
        {side: photos[f"{side}_label"] for side in SIDES},
        {side: np.unique(photos[f"{side}_group"], return_inverse=True)[1] for side in SIDES},
        _origin(len(points)), tuple(runs),
    )  # fmt: skip


def joined(older: Table, newer: Table) -> Table:
    """Both tables' runs, of the same run the newer one; recording may go on after a table was shipped.
    UsageError if they do not belong together."""
    same = (older.space == newer.space, older.epochs == newer.epochs, *(
        np.array_equal(getattr(older, what)[side], getattr(newer, what)[side])
        for what in ("labels", "groups") for side in SIDES
    ))  # fmt: skip
    if not all(same):
        raise UsageError(
            "the table has another space, length or people than the new runs; write a new one (--out)"
        )
    runs = {(run.seed, run.recipe): run for run in (*older.runs, *newer.runs)}
    return replace(newer, runs=tuple(runs[key] for key in sorted(runs)))


def _origin(recipes: int) -> dict[str, Any]:
    return {
        "command": f"python -m benchmarks.search.record DATA --recipes {recipes}",
        "data": "train/ of the stand-in set (real faces with drawn masks); its eval/ was not touched",
        "groups": "people are numbered from 0 on each side; nobody is on both, or among those trained on",
        "seconds": "processor time of an epoch and the predictions of both sides, in one thread",
        "machine": {"system": platform.platform(), "processor": processor(), "cores": os.cpu_count()},
        "versions": versions(),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=SHIPPED)
    parser.add_argument("--recipes", type=int, default=RECIPES, help="as the recorder was given")
    asked = parser.parse_args(arguments)
    logging.disable(logging.INFO)
    table = collect(asked.folder, recipes(asked.recipes), EPOCHS)
    if asked.out.exists():
        table = joined(read(asked.out), table)
    size = write(table, asked.out).stat().st_size
    failed = sum(bool(run.failed) for run in table.runs)
    print(f"{asked.out}: {len(table.runs)} runs ({failed} failed), seeds {table.seeds}, {size / 1e6:.1f} MB")


if __name__ == "__main__":
    with exit_on_usage_error():
        main()
