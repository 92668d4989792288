"""What pseudo-labels and a teacher add to a head on frozen features, on people that no network has seen.

    python -m benchmarks.second_network RECIPE.json DATA [--seeds 8]
    python -m benchmarks.second_network RECIPE.json DATA --teacher OTHER.json [--seeds 8]

Both recipes have features=cached and init=lda. Each seed deals the people of train into five folds; the last
is validated on. Pseudo-labels: a head is fitted to three folds, or two, predicts the other one, or two, as
if nobody knew their labels, and is fitted again to both; by group and by photo, from several confidences on.
The features are reduced to their COMPONENTS first principal components. With --teacher: the head of RECIPE is
trained for EPOCHS epochs with the out-of-fold predictions of OTHER's fitted head, for several fractions and
temperatures; the last row's teacher has seen the validation people, as it has in a trial. Prints the score
and the mean difference from a training without, with its standard error.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from analysis.predict.one_group import shared_axes
from analysis.pseudo_labels import agreeing_groups, confident_photos
from analysis.recipes import read_recipe
from common.errors import exit_on_usage_error
from dataset.split import fold_of
from dataset.task import Task
from trial import recipe
from trial.config import TrialConfig, parse
from trial.fit import fit
from trial.learning.inits import INITS, Target
from trial.metrics import score_probabilities
from trial.models.heads import joint_logits

COMPONENTS, FOLDS, EPOCHS = 256, 5, 6
BY = (("group", 0.0), ("group", 0.5), ("group", 0.8), ("photo", 0.0), ("photo", 0.8), ("photo", 0.95))
TRAINED = {
    "learning_rate": 0.001, "optimizer": "adamw", "weight_decay": 0.01, "schedule": "onecycle",
    "batch_size": 128, "epochs": EPOCHS, "init": {"_name": "lda", "shrinkage": 0.3, "temperature": 3.0},
}  # fmt: skip
TAUGHT = ((0.5, 1.0), (0.9, 1.0), (0.5, 2.0))  # fraction, temperature
Row = tuple[str, Sequence[float]]


class _Unrecorded:
    """Takes what `recipe.start` writes into a run folder, and drops it."""

    def __getattr__(self, name: str) -> Any:
        return lambda *values: None


def started(path: Path, data: Path, values: dict[str, Any] | None = None) -> tuple[TrialConfig, recipe.Start]:
    """The recipe with `values`, and what its training starts from."""
    config = parse({**read_recipe(path).recipe, "data": str(data), **(values or {})})
    return config, recipe.start(config, _Unrecorded())  # type: ignore[arg-type]


def components(features: np.ndarray, number: int = COMPONENTS) -> np.ndarray:
    """(photos, `number`) the first principal components of (photos, D)."""
    centred = features - features.mean(0)
    return np.ascontiguousarray(centred @ np.linalg.eigh(centred.T @ centred)[1][:, -number:])


class Heads:
    """Heads of the config's init over `features` (photos, D) of the photos of `table`. Each value has one
    output: what is predicted has no numbers."""

    def __init__(self, config: TrialConfig, features: np.ndarray, table: pd.DataFrame, task: Task):
        self.initial, self.features, self.task = config.init.build(INITS), features, task
        self.labels, self.groups = table["label"].to_numpy(), table["group"].to_numpy()

    def predict(self, rows: np.ndarray, labels: np.ndarray, others: np.ndarray) -> np.ndarray:
        """(others, classes) the probabilities of the photos `others` by a head of `labels` of `rows`."""
        sizes = self.task.sizes or (self.task.n_classes,)
        values = np.unravel_index(labels, sizes)
        targets = [Target(own, size) for own, size in zip(values, sizes, strict=True)]
        weight, bias = self.initial(self.features[rows], targets, self.groups[rows])
        outputs = torch.from_numpy(self.features[others] @ weight.T + bias)
        return joint_logits(outputs, sizes).softmax(1).numpy()


def pseudo(heads: Heads, groups: np.ndarray, fold: np.ndarray, unknown: Sequence[int]) -> Iterator[Row]:
    """(name, [score without, difference, fraction taken, fraction of these that is right]) of each way, with
    the labels of the folds `unknown` predicted."""
    labels, task = heads.labels, heads.task
    known, other, held_out = (
        np.flatnonzero(np.isin(fold, some))
        for some in ([one for one in range(FOLDS - 1) if one not in unknown], unknown, [FOLDS - 1])
    )
    predicted = heads.predict(known, labels[known], other)
    shared = shared_axes(task, labels, groups)

    def score(more: np.ndarray, theirs: np.ndarray) -> float:
        found = heads.predict(np.r_[known, more], np.r_[labels[known], theirs], held_out)
        return score_probabilities(labels[held_out], found).macro_f1

    before = score(known[:0], labels[:0])
    yield "true labels", (before, score(other, labels[other]) - before, 1.0, 1.0)
    for by, confidence in BY:
        chosen = confident_photos(predicted, confidence)
        if by == "group":
            chosen = agreeing_groups(predicted, groups[other], task, shared, confidence)
        some, theirs = other[chosen.kept], chosen.labels[chosen.kept]
        right = float((theirs == labels[some]).mean()) if len(some) else np.nan
        yield f"{by} {confidence:g}", (before, score(some, theirs) - before, chosen.kept.mean(), right)


def taught(
    config: TrialConfig, start: recipe.Start, heads: Heads, fold: np.ndarray, seed: int
) -> Iterator[Row]:
    """(name, [score, difference from the labels alone]) of each training with the teacher `heads`."""
    held_out = fold == FOLDS - 1
    rows, every = np.flatnonzero(~held_out), np.arange(len(fold))

    def out_of_fold(some: np.ndarray) -> np.ndarray:
        found = np.full((len(fold), start.task.n_classes), 1 / start.task.n_classes)
        inner = fold_of(start.table.iloc[some], FOLDS, seed + 100).to_numpy()
        for one in range(FOLDS):
            own, others = some[inner != one], some[inner == one]
            found[others] = heads.predict(own, heads.labels[own], others)
        return found

    def score(predictions: np.ndarray, fraction: float, temperature: float) -> float:
        teacher = {"_name": "out_of_fold", "runs": ".", "fraction": fraction}
        values = parse({**config.to_json(), "teacher": teacher, "seed": seed})
        softer = predictions ** (1 / temperature)
        torch.manual_seed(seed)
        own = start._replace(
            network=recipe.build(values, start.task)[0], taught=softer / softer.sum(1, keepdims=True)
        )
        shown = recipe.validation(values, own, start.table[held_out])
        *_, last = fit(recipe.training(values, own, own.network, start.table[~held_out]), shown)
        assert last.scores is not None
        return last.scores.macro_f1

    honest = out_of_fold(rows)
    before = score(honest, 0.0, 1.0)
    alone = heads.predict(rows, heads.labels[rows], np.flatnonzero(held_out))
    known = score_probabilities(heads.labels[held_out], alone).macro_f1
    yield "the teacher itself", (known, known - before)
    yield "labels alone", (before, 0.0)
    for fraction, temperature in TAUGHT:
        found = score(honest, fraction, temperature)
        yield f"fraction {fraction:g}, temperature {temperature:g}", (found, found - before)
    found = score(out_of_fold(every), 0.5, 1.0)
    yield "fraction 0.5, a teacher that saw all", (found, found - before)


def lines(found: Sequence[Sequence[Row]]) -> list[str]:
    """The means over seeds of the rows of each; of the difference, the second value, its standard error."""
    made = []
    for number, (name, _) in enumerate(found[0]):
        values = np.array([rows[number][1] for rows in found])
        error = values[:, 1].std(ddof=1) / len(values) ** 0.5 if len(values) > 1 else np.nan
        score, difference, *more = values.mean(0)
        rest = "".join(f"  {value:.3f}" for value in more)
        made.append(f"{name:38}{score:.4f}  {difference:+.4f} ({error:.4f}){rest}")
    return made


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipe", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--teacher", type=Path)
    parser.add_argument("--seeds", type=int, default=8)
    asked = parser.parse_args(arguments)
    config, start = started(asked.recipe, asked.data, TRAINED if asked.teacher else None)
    table, task = start.table, start.task
    folds = [fold_of(table, FOLDS, seed).to_numpy() for seed in range(asked.seeds)]
    other, of_other = started(asked.teacher, asked.data) if asked.teacher else (config, start)
    assert of_other.features is not None
    heads = Heads(other, components(np.asarray(of_other.features[:, 0])), table, task)
    if asked.teacher:
        found = [list(taught(config, start, heads, fold, seed)) for seed, fold in enumerate(folds)]
        print("\n".join(["macro-F1, difference from labels alone", *lines(found)]))
        return
    groups = table["group"].to_numpy(str)
    for unknown in ([3], [2, 3]):
        found = [list(pseudo(heads, groups, fold, unknown)) for fold in folds]
        folds_words = f"labels of {FOLDS - 1 - len(unknown)} folds known, {len(unknown)} predicted"
        print(f"{folds_words}: macro-F1 without, difference, taken, right of these")
        print("\n".join(lines(found)), flush=True)


if __name__ == "__main__":
    with exit_on_usage_error():
        main()
