"""The table of learning curves that replays of searches play against: its writer and its reader.

`benchmarks.search.collect` makes it of recorded runs. It has a row for each complete run, a recipe trained
with a seed: per epoch the seconds, the losses, and macro-F1 and predicted class of every photo of the
validation people and of others, whom no search sees. Photos, people's numbers and where the table comes from
stand in its metadata.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from common.errors import UsageError
from common.files import write_atomic

SHIPPED = Path(__file__).with_name("table.parquet")
SPACE = Path(__file__).with_name("space.json")
SIDES = ("validation", "others")
PER_EPOCH = ("seconds", "train_loss", "validation_loss")
COSTS_BY = ("model", "image_size", "batch_size")  # what the time of an epoch depends on
Point = dict[str, Any]
Work = tuple[Any, ...]


@dataclass(frozen=True)
class Curves:
    """What a replay plays against: one learning curve for each of R recipes of a space, over E epochs.

    `points`: as NNI hands them to a trial. `scores` (R, E): macro-F1 of the validation people, nan from the
    epoch at which the recipe failed. `seconds` (R, E): the time that each epoch takes. `others` (R, E):
    macro-F1 of people that the search does not see. `default`: the recipe that a search begins with if it
    begins with the default.
    """

    name: str
    space: dict[str, Any]
    points: tuple[Point, ...]
    scores: np.ndarray
    seconds: np.ndarray
    others: np.ndarray
    default: int = 0

    @cached_property
    def final(self) -> np.ndarray:
        """(R,) what a trial reports at its end, its best epoch; -inf for a recipe that fails."""
        best = np.max(self.scores, axis=1)  # nan if any is
        return np.where(np.isnan(best), -np.inf, best)

    @cached_property
    def compute(self) -> float:
        """Seconds to train every recipe to its end or to its failure, one after the other."""
        return float(
            sum(self.seconds[recipe, : self.lived(recipe)].sum() for recipe in range(len(self.points)))
        )

    def lived(self, recipe: int) -> int:
        """Epochs that the recipe runs; the one that it fails in counts."""
        failed = np.isnan(self.scores[recipe])
        return int(failed.argmax()) + 1 if failed.any() else self.scores.shape[1]

    def good(self, margin: float) -> np.ndarray:
        """(R,) whether a recipe's result is within `margin` of the best one's."""
        return self.final >= self.final.max() - margin

    def part(self, recipes: np.ndarray) -> "Curves":
        """Only these recipes; the default must be among them."""
        (default,) = np.flatnonzero(recipes == self.default)
        points = tuple(self.points[recipe] for recipe in recipes)
        rows = (self.scores[recipes], self.seconds[recipes], self.others[recipes])
        return Curves(self.name, self.space, points, *rows, int(default))


@dataclass(frozen=True)
class Run:
    """A recipe trained with a seed. Rows of epochs: `seconds` of each, losses, macro-F1 (`scores`) and
    predicted classes (`answers`, (epochs, photos)) of both SIDES. `failed`: why it ended early, '' if it did
    not."""

    recipe: int
    seed: int
    point: Point
    failed: str
    seconds: np.ndarray
    train_loss: np.ndarray
    validation_loss: np.ndarray
    scores: Mapping[str, np.ndarray]
    answers: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Table:
    """`labels` and `groups` (the person's number) of the photos of both SIDES, in the order of the answers;
    `epochs` of a run that does not fail; `origin`: how the table was made."""

    space: dict[str, Any]
    epochs: int
    n_classes: int
    labels: Mapping[str, np.ndarray]
    groups: Mapping[str, np.ndarray]
    origin: dict[str, Any]
    runs: tuple[Run, ...]

    @cached_property
    def seeds(self) -> tuple[int, ...]:
        """The seeds with which every recipe of the table was trained; of a table that is still being
        recorded, those with nine in ten of them."""
        seeds = [run.seed for run in self.runs]
        recipes = len({run.recipe for run in self.runs})
        return tuple(seed for seed in sorted(set(seeds)) if seeds.count(seed) >= 0.9 * recipes)

    def curves(self, seed: int) -> Curves:
        """The runs with this seed.

        Every epoch of a recipe costs the fastest epoch of all recipes, with any seed, that agree with it in
        COSTS_BY: these do the same work, so what the others took longer is the load of the machine at the
        time.
        """
        runs = [run for run in self.runs if run.seed == seed]
        if not runs:
            raise UsageError(
                f"the table has no runs with seed {seed}; it has {', '.join(map(str, self.seeds))}"
            )
        fastest: dict[Work, float] = {}
        for run in self.runs:
            if len(run.seconds):
                work = _work(run.point)
                fastest[work] = min(fastest.get(work, np.inf), float(run.seconds.min()))
        usual = float(np.median(list(fastest.values())))  # if all of these failed in their first epoch
        seconds = np.array([[fastest.get(_work(run.point), usual)] * self.epochs for run in runs])
        validation, others = (
            np.array([filled(run.scores[side], self.epochs) for run in runs]) for side in SIDES
        )
        points = tuple(run.point for run in runs)
        default = next((row for row, run in enumerate(runs) if run.recipe == 0), 0)
        return Curves(f"recorded, seed {seed}", self.space, points, validation, seconds, others, default)


def _work(point: Point) -> Work:
    values = [point.get(name) for name in COSTS_BY]
    return tuple(value["_name"] if isinstance(value, dict) else value for value in values)


def filled(values: np.ndarray, epochs: int) -> np.ndarray:
    """The values of the epochs, then nan."""
    return np.concatenate([values, np.full(epochs - len(values), np.nan)])


def write(table: Table, path: Path) -> Path:
    """Write the table as parquet, whole or not at all."""
    photos = {side: (table.labels[side].tolist(), table.groups[side].tolist()) for side in SIDES}
    head = {
        "space": table.space, "epochs": table.epochs, "n_classes": table.n_classes, "photos": photos,
        "origin": table.origin,
    }  # fmt: skip
    columns: dict[str, Any] = {
        "recipe": pa.array([run.recipe for run in table.runs], pa.int16()),
        "seed": pa.array([run.seed for run in table.runs], pa.int16()),
        "point": [json.dumps(run.point) for run in table.runs],
        "failed": [run.failed for run in table.runs],
    }
    for name in PER_EPOCH:
        columns[name] = pa.array([getattr(run, name) for run in table.runs], pa.list_(pa.float64()))
    for side in SIDES:
        columns[f"{side}_macro_f1"] = pa.array(
            [run.scores[side] for run in table.runs], pa.list_(pa.float64())
        )
        # One string of bytes a run, photo by photo within an epoch.
        columns[f"{side}_answers"] = pa.array(
            [run.answers[side].tobytes() for run in table.runs], pa.binary()
        )
    rows = pa.table(columns).replace_schema_metadata({"search_table": json.dumps(head)})
    options: dict[str, Any] = {"compression": "zstd", "compression_level": 19, "use_dictionary": False}
    return write_atomic(path, lambda part: pq.write_table(rows, part, **options))


def read(path: Path = SHIPPED) -> Table:
    """The table in a file that `write` wrote. UsageError if it is not one."""
    try:
        rows = pq.read_table(path)
        head = json.loads((rows.schema.metadata or {})[b"search_table"])
    except (OSError, pa.ArrowInvalid, KeyError) as error:
        raise UsageError(
            f"{path}: not a table of learning curves ({error or type(error).__name__})"
        ) from None
    runs = []
    for row in rows.to_pylist():
        answers = {
            side: np.frombuffer(row[f"{side}_answers"], np.uint8).reshape(-1, len(head["photos"][side][0]))
            for side in SIDES
        }
        scores = {side: np.array(row[f"{side}_macro_f1"], float) for side in SIDES}
        per_epoch = {name: np.array(row[name], float) for name in PER_EPOCH}
        point = json.loads(row["point"])
        runs.append(
            Run(row["recipe"], row["seed"], point, row["failed"], **per_epoch, scores=scores, answers=answers)
        )
    labels, groups = ({side: np.array(head["photos"][side][what]) for side in SIDES} for what in (0, 1))
    return Table(
        head["space"], head["epochs"], head["n_classes"], labels, groups, head["origin"], tuple(runs)
    )
