"""Does the label audit find labels that were made wrong?

    python -m benchmarks.trust.labels [DATA] [--rates 1 2 5] [--out out/label_check]

Of the people in DATA (by default 300 drawn ones), RATE % get another value of each factor that a person's
photos share, and as many photos another value of each other factor. A linear model on the features of the
packaged network (kept in OUT) is trained out of fold on these labels, and the audit of its probabilities is
compared with cleanlab on photos alone, factor by factor: precision (photos that were made wrong among those
found) and recall of what cleanlab flags, our precision at that recall, and precision and recall of what we
flag. The line `class` is of cleanlab on photos and whole classes.
"""

import argparse
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from cleanlab.filter import find_label_issues

from analysis.audit.features import features_of, packaged
from analysis.trust.labels import Values, suspects, values_of
from benchmarks.trust.leakage import linear_model
from dataset.face_masks.drawing.synthetic import draw
from dataset.factors import of_groups
from dataset.read import read_train
from dataset.split import fold_of
from dataset.task import Task

DRAWN, FOLDS = 300, 5


def planted(task: Task, table: pd.DataFrame, rate: float, seed: int) -> pd.DataFrame:
    """The values (photos, factors) with a fraction `rate` of people, or of photos, given another one."""
    rng = np.random.default_rng(seed)
    shared = of_groups(task, table)
    found = {}
    for factor, names in task.factors.items():
        row = np.unique(table["group"], return_inverse=True)[1] if factor in shared else np.arange(len(table))
        wrong = rng.permutation(row.max() + 1)[: round(rate * (row.max() + 1))]
        move = np.zeros(row.max() + 1, int)
        move[wrong] = rng.integers(1, len(names), len(wrong))
        found[factor] = (table[factor].to_numpy() + move[row]) % len(names)
    return pd.DataFrame(found, table.index)


def out_of_fold(features: np.ndarray, table: pd.DataFrame, labels: np.ndarray, n_classes: int) -> np.ndarray:
    """Probabilities (photos, classes) of a linear model, each of a photo by one that has not seen its
    group."""
    probabilities = np.zeros((len(labels), n_classes))
    fold = fold_of(table.assign(label=labels), FOLDS, 0).to_numpy()
    for number in range(FOLDS):
        held = fold == number
        model = linear_model().fit(features[~held], labels[~held])
        probabilities[np.ix_(held, model.classes_)] = model.predict_proba(features[held])
    return probabilities


def measure(
    task: Task, table: pd.DataFrame, wrong: pd.DataFrame, probabilities: np.ndarray
) -> list[tuple[str, int, list[float]]]:
    """(Factor, photos made wrong, [cleanlab's precision and recall on photos, our precision at that recall,
    precision and recall of what we flag]), of the values `wrong` and the probabilities of models that were
    trained on them."""
    labels = task.label({factor: wrong[factor].to_numpy() for factor in task.factors})
    odd = labels != table["label"].to_numpy()
    alone = find_label_issues(labels, probabilities, n_jobs=1)
    rows = [("class", int(odd.sum()), [odd[alone].mean(), alone[odd].mean(), np.nan, np.nan, np.nan])]
    found = suspects(task, table.assign(label=labels), probabilities)
    for values in values_of(task, labels, probabilities):
        odd = values.recorded != table[values.factor].to_numpy()
        alone = find_label_issues(values.recorded, values.probabilities, n_jobs=1)
        precision, recall = odd[alone].mean(), alone[odd].mean()
        order, ours = _of_photos(values, table, found)
        hits = np.cumsum(odd[order])
        enough = np.flatnonzero(hits >= recall * odd.sum() - 1e-9)
        at = hits[enough[0]] / (enough[0] + 1) if len(enough) else np.nan
        rows.append(
            (values.factor, int(odd.sum()), [precision, recall, at, odd[ours].mean(), ours[odd].mean()])
        )
    return rows


def _of_photos(values: Values, table: pd.DataFrame, found: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """(The suspects' photos, worst first, whether each photo is flagged)."""
    flagged, order = np.zeros(len(table), bool), list[int]()
    for one in found[found["factor"] == values.factor].itertuples():
        rows = table["photo"] == one.photo if one.photo else table["group"] == one.group
        order += np.flatnonzero(rows).tolist()
        flagged |= rows.to_numpy() & one.flagged
    return np.array(order, int), flagged


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--rates", type=float, nargs="+", default=[1, 2, 5])
    parser.add_argument("--out", type=Path, default=Path("out/label_check"))
    asked = parser.parse_args(arguments)
    data = asked.data or asked.out / "drawn"
    if asked.data is None and not data.exists():
        draw(data, people=DRAWN)
    task, table = read_train(data)
    path = asked.out / f"{data.name}.npy"
    if not path.exists():
        asked.out.mkdir(parents=True, exist_ok=True)
        np.save(path, features_of(packaged(task), table))
    features = np.load(path)
    warnings.simplefilter("ignore", RuntimeWarning)  # a mean of nothing: no photo was flagged
    print(f"{'made wrong':12}{'photos':>7}{'cleanlab: precision':>21}{'recall':>9}{'ours at that recall':>21}"
          f"{'ours: precision':>17}{'recall':>9}")  # fmt: skip
    for rate in asked.rates:
        wrong = planted(task, table, rate / 100, seed=0)
        labels = task.label({factor: wrong[factor].to_numpy() for factor in task.factors})
        probabilities = out_of_fold(features, table, labels, task.n_classes)
        for factor, photos, cells in measure(task, table, wrong, probabilities):
            text = "".join(
                f"{cell:{width}.2f}" for cell, width in zip(cells, (21, 9, 21, 17, 9), strict=True)
            )
            print(f"{rate:g} % {factor:9}{photos:7}{text}", flush=True)


if __name__ == "__main__":
    main()
