"""Record learning curves of many recipes on real faces, for replays of searches without training.

    python -m benchmarks.search.record DATA [--out out/search_table] [--recipes 256] [--part 0/2]
    python -m benchmarks.search.record DATA --rung people --rung size --out out/search_rungs --recipes 30

Each recipe of the space (space.json; RECIPES drawn at random, the default first) is trained EPOCHS epochs in
one thread, with two seeds, the first seed of all recipes first. PEOPLE of train/ are split once: to train on,
to validate, and others that no search sees. A run is a file OUT/RECIPE-SEED.npz: the predictions of every
epoch for the people of both kinds, losses and seconds. Runs that exist there or in the shipped table are left
out, so that the command may be stopped and started again; `--part 0/2` takes every second run, for two
processes side by side.

With `--rung` the recipes are trained cheaply, with one seed, for `benchmarks.search.rungs`: `people` trains
on a third of the people, `size` on photos of 32x24. Their runs are files OUT/RUNG/RECIPE-SEED.npz, which have
no others, and `predicting`: the seconds of one prediction of the validation people.
"""

import argparse
import json
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.search.table import SHIPPED, read
from dataset.split import fold_of, fraction_of
from trial import recipe
from trial.commands.arguments import parse_arguments
from trial.config import TrialConfig, parse
from trial.data import batches
from trial.fit import fit, infer
from trial.metrics import score

SPACE = Path(__file__).with_name("space.json")
FIXED = "precision=float32 threads=1 workers=0 weights=none"
EPOCHS, SEEDS, RECIPES = 8, (0, 1), 256
FOLDS = 18  # of some 50 people each
TRAIN, VALIDATION, OTHERS = range(3), range(3, 5), range(5, 9)
# Fields of the recipes of a cheap rung.
RUNGS: dict[str, dict[str, Any]] = {"people": {"train_fraction": 0.33}, "size": {"image_size": "32x24"}}
DEFAULT = {
    "model": {"_name": "tf_efficientnet_lite0", "weights": "package", "layer_decay": 1.0},
    "optimizer": {"_name": "adamw"}, "learning_rate": 0.001, "weight_decay": 0.01, "schedule": "onecycle",
    "loss": {"_name": "cross_entropy"}, "sampler": {"_name": "uniform"}, "mixing": {"_name": "none"},
    "batch_size": 32, "image_size": "48x36", "augment": "light",
}  # fmt: skip


def recipes(count: int) -> list[dict[str, Any]]:
    """The default and random points of the space, the same for the same `count` or a larger one."""
    from nni.algorithms.hpo.random_tuner import RandomTuner

    tuner = RandomTuner(seed=0)
    tuner.update_search_space(json.loads(SPACE.read_text()))
    return [DEFAULT, *(tuner.generate_parameters(number) for number in range(1, count))]


def config_of(point: dict[str, Any], data: Path, seed: int) -> TrialConfig:
    words = [*FIXED.split(), f"epochs={EPOCHS}", f"seed={seed}"]
    if "weights" in point["model"]:
        words.remove("weights=none")
    return parse(parse_arguments([*words, f"data={data}"], point))


class _Writer:
    """Takes what `recipe.start` writes into a run folder, and drops it."""

    def __getattr__(self, name: str) -> Any:
        return lambda *values: None


def record(point: dict[str, Any], data: Path, seed: int, rung: str = "") -> dict[str, np.ndarray]:
    """The learning curve of one recipe. `validation` and `others` (epochs, photos): predicted classes; labels
    and groups beside them; a row per epoch of seconds and losses; `failed`: why it ended early, '' if it did
    not. Of a cheap `rung`: without others, but with `predicting`."""
    config = config_of(point | RUNGS.get(rung, {}), data, seed)
    start = recipe.start(config, _Writer())  # type: ignore[arg-type]
    fold = fold_of(start.table, FOLDS, seed=0)
    parts = (TRAIN, VALIDATION, () if rung else OTHERS)
    train, validation, others = (start.table[fold.isin(part)] for part in parts)
    train = fraction_of(train, config.train_fraction, seed)
    both = start.table.loc[[*validation.index, *others.index]]
    loader = batches.loader(batches.Photos(both, start.preprocessing, start.pixels), 4 * config.batch_size)
    rows: dict[str, list] = {name: [] for name in ("predicted", "seconds", "train_loss", "validation_loss")}
    failed, began = "", time.process_time()
    try:
        for epoch in fit(recipe.training(config, start, start.network, train), loader):
            assert epoch.probabilities is not None
            rows["predicted"].append(epoch.probabilities.argmax(1).astype(np.uint8))
            rows["train_loss"].append(epoch.train_loss)
            own = epoch.probabilities[np.arange(len(validation)), validation["label"]]
            rows["validation_loss"].append(-float(np.log(own.clip(1e-9)).mean()))
            rows["seconds"].append(time.process_time() - began)
    except FloatingPointError as error:
        failed = str(error)
    predicted = np.array(rows.pop("predicted"), np.uint8).reshape(-1, len(both))
    more = {}
    if rung:
        began = time.process_time()
        infer(start.network, start.preprocessing, start.compute, loader)
        more["predicting"] = np.array(time.process_time() - began)
    return {
        "validation": predicted[:, : len(validation)], "others": predicted[:, len(validation) :],
        "failed": np.array(failed), **more, **{name: np.array(values) for name, values in rows.items()},
        **{f"{side}_{what}": table[what].to_numpy().astype(kind)
           for side, table in (("validation", validation), ("others", others))
           for what, kind in (("label", np.uint8), ("group", "U16"))},
    }  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, default=Path("out/search_table"))
    parser.add_argument("--recipes", type=int, default=RECIPES)
    parser.add_argument("--part", default="0/1")
    parser.add_argument(
        "--rung", action="append", choices=RUNGS, default=[], help="record cheap runs instead"
    )
    asked = parser.parse_args(arguments)
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    part, parts = map(int, asked.part.split("/"))
    points = recipes(asked.recipes)
    for number, seed, rung in jobs(points, asked.rung)[part::parts]:
        path = asked.out / rung / f"{number:03d}-{seed}.npz"
        if path.exists():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        started = time.perf_counter()
        found = record(points[number], asked.data, seed, rung)
        beside = path.with_suffix(".part")
        with beside.open("wb") as file:
            np.savez_compressed(file, **found)  # type: ignore[arg-type]
        beside.rename(path)
        side = "validation" if rung else "others"
        scores = [f"{score(found[f'{side}_label'], row, 18).macro_f1:.3f}" for row in found[side]]
        seconds = time.perf_counter() - started
        print(f"{rung} {path.name} {seconds:.0f} s {' '.join(scores)} {found['failed']}".strip(), flush=True)


def jobs(points: Sequence[dict[str, Any]], rungs: Sequence[str]) -> list[tuple[int, int, str]]:
    """(recipe, seed, rung) of the runs to record. Those in the shipped table are left out, and cheap ones
    that would be a recipe's own run."""
    if rungs:
        return [
            (number, SEEDS[0], rung) for rung in rungs for number, point in enumerate(points)
            if point | RUNGS[rung] != point
        ]  # fmt: skip
    shipped = {(run.recipe, run.seed) for run in read().runs} if SHIPPED.exists() else set()
    wanted = [(number, seed) for seed in SEEDS for number in range(len(points))]
    return [(*one, "") for one in wanted if one not in shipped]


if __name__ == "__main__":
    main()
