"""Does the label audit find labels that were made wrong?

    python -m benchmarks.trust.labels [DATA] [--rates 1 2 5] [--out out/label_audit] [key=value ...]

Of the people in DATA (by default 300 drawn ones), RATE % get another value of each factor that a person's
photos share, and as many photos another value of each other factor. A network is trained out of fold on these
labels, and the audit of its probabilities is compared with cleanlab on photos alone, factor by factor:
precision (photos that were made wrong among those found) and recall of what cleanlab flags among photos, the
precision of ours at that recall, and precision and recall of what ours flags. The second rival is cleanlab on
photos and whole classes, in the line `class`. key=value: changes to the recipe.
"""

import argparse
import subprocess
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.trust.answers import read_probabilities
from analysis.trust.audit.labels import Values, label_quality, suspects, values_of
from dataset.face_masks.drawing.synthetic import draw
from dataset.factors import of_groups
from dataset.read import read_train
from dataset.task import Task
from trial.record import RunFolder, probabilities_of

RECIPE = (
    "model=tf_efficientnet_lite0 weights=package image_size=64x48 epochs=4 batch_size=32 learning_rate=0.001 "
    "optimizer=adamw schedule=onecycle fold=all folds=3 threads=1 precision=float32 group=person"
)
DRAWN = 300


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


def write_set(folder: Path, data: Path, task: Task, table: pd.DataFrame, values: pd.DataFrame) -> None:
    """A set in the format photos.csv: the photos of `data`, with these values."""
    folder.mkdir(parents=True)
    (folder / "photos").symlink_to(data.absolute(), target_is_directory=True)
    rows = pd.DataFrame({"path": [f"photos/{Path(path).relative_to(data.absolute())}" for path in table["path"]],
                         "person": table["group"].to_numpy()})  # fmt: skip
    for factor, names in task.factors.items():
        rows[factor] = np.array(names)[values[factor]]
    rows.to_csv(folder / "photos.csv", index=False)


def measure(task: Task, table: pd.DataFrame, truth: pd.DataFrame) -> list[tuple]:
    """(Factor, things made wrong, cleanlab's precision and recall on photos, our precision at that recall,
    precision and recall of what we flag), of a run's `table` of probabilities and the true values of its
    photos."""
    probabilities, labels = probabilities_of(table), table["label"].to_numpy()
    found = suspects(task, table, probabilities)
    rows = []
    right = task.label({factor: truth[factor].to_numpy() for factor in task.factors})
    wrong_class = labels != right
    _, flagged = label_quality(labels, probabilities)
    alone = wrong_class[flagged].mean(), flagged[wrong_class].mean()
    rows.append(("class", int(wrong_class.sum()), *alone, np.nan, np.nan, np.nan))
    for values in values_of(task, labels, probabilities):
        wrong = values.recorded != truth[values.factor].to_numpy()
        _, flagged = label_quality(values.recorded, values.probabilities)
        precision, recall = wrong[flagged].mean(), flagged[wrong].mean()
        order, ours = _of_photos(values, table, found)
        hits = np.cumsum(wrong[order]) / wrong.sum()
        enough = np.flatnonzero(hits >= recall - 1e-9)
        at = hits[enough[0]] * wrong.sum() / (enough[0] + 1) if len(enough) else np.nan
        rows.append(
            (values.factor, int(wrong.sum()), precision, recall, at, wrong[ours].mean(), ours[wrong].mean())
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


def audited(data: Path, out: Path, rate: float, recipe: Sequence[str], seed: int = 0) -> list[tuple]:
    """`measure` of the people in `data` with labels planted."""
    task, photos = read_train(data)
    folder = out / f"{100 * rate:g}"
    if not folder.exists():
        write_set(folder, data, task, photos, planted(task, photos, rate, seed))
    run = folder / "run"
    if not (run / "status.json").exists() or RunFolder(run).status()["state"] != "done":
        words = [*RECIPE.split(), *recipe, f"data={folder}", f"out={run}"]
        subprocess.run([sys.executable, "-m", "trial", *words], check=True)
    table = read_probabilities(run)
    truth = photos.set_index("photo")[list(task.factors)]
    return measure(RunFolder(run).task(), table, truth.loc[_names(data, photos, table)])


def _names(data: Path, photos: pd.DataFrame, table: pd.DataFrame) -> list[str]:
    names = {f"photos/{Path(path).relative_to(data.absolute())}": photo
             for path, photo in zip(photos["path"], photos["photo"], strict=True)}  # fmt: skip
    return [names[photo] for photo in table["photo"]]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--rates", type=float, nargs="+", default=[1, 2, 5])
    parser.add_argument("--out", type=Path, default=Path("out/label_audit"))
    parser.add_argument("recipe", nargs="*")
    asked = parser.parse_args(arguments)
    data = asked.data
    if data is None:
        data = asked.out / "drawn"
        if not data.exists():
            draw(data, people=DRAWN, height=64, width=48)
    warnings.simplefilter("ignore", RuntimeWarning)  # a mean of nothing: no photo was flagged
    for rate in asked.rates:
        print(f"\n{rate:g} % made wrong")
        print(f"{'':12}{'wrong':>7}{'cleanlab: precision':>21}{'recall':>9}{'ours at that recall':>21}"
              f"{'ours: precision':>17}{'recall':>9}")  # fmt: skip
        for factor, wrong, *cells in audited(data, asked.out / data.name, rate / 100, asked.recipe):
            widths = (21, 9, 21, 17, 9)
            print(
                f"{factor:12}{wrong:7}"
                + "".join(f"{cell:{width}.2f}" for cell, width in zip(cells, widths, strict=True)),
                flush=True,
            )


if __name__ == "__main__":
    main()
