"""Are people on both sides of a split found, and how much would a split by photo flatter?

    python -m benchmarks.trust.leakage DATA [ANSWERS.csv] [--out out/leakage_check]

Of the people in DATA's train half, 2 % (10 %) get a second id for three of their photos, and a fourth photo
is put among those to predict. `found`: how many of these the comparison finds, by features of the
packaged network (kept in OUT); `false`: people, or photos to predict, that it takes for somebody else.

Then a linear model on these features (macro-F1): its out-of-fold score by folds of photos and by folds of
people, and with ANSWERS the score that is seen on the photos to predict, by the models of the folds together.
"""

import argparse
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from analysis.audit.features import features_of, packaged
from analysis.submission import read_answers
from analysis.trust.leakage import EVAL, people_of, same_people
from dataset.read import read_eval, read_train
from dataset.split import fold_of
from trial.metrics import score

RATES = (0.0, 0.02, 0.1)
MOVED = 3  # photos of a person that get a second id
FOLDS, DIMENSIONS = 5, 200


def found(train: np.ndarray, groups: np.ndarray, photos: np.ndarray, rate: float, seed: int = 0) -> list[str]:
    """Cells of a line for a fraction `rate` of people on both sides, from features of both halves."""
    rng = np.random.default_rng(seed)
    names = np.unique(groups)
    chosen = rng.permutation(names)[: round(rate * len(names))]
    ids, kept, moved = groups.astype(object), np.ones(len(groups), bool), []
    for name in chosen:
        own = rng.permutation(np.flatnonzero(groups == name))
        ids[own[:MOVED]] = _second(name)
        moved.append(own[MOVED])
    kept[moved] = False
    people = people_of(train[kept], ids[kept].astype(str), np.concatenate([photos, train[moved]]))
    pairs, _ = same_people(people)
    true, wrong, seen, false = 0, set[str](), set[int](), set[int]()
    for pair in pairs.itertuples():
        other = people.names[pair.other]
        if pair.where == EVAL:
            right = pair.one >= len(photos) and other in (
                own := groups[moved[pair.one - len(photos)]],
                _second(own),
            )
            (seen if right else false).add(pair.one)
        elif _second(one := people.names[pair.one]) == other or _second(other) == one:
            true += 1
        else:
            wrong |= {one, other}
    return [
        f"{true} of {len(chosen)}", f"{len(wrong)} of {len(people.names):,}", f"{len(seen)} of {len(moved)}",
        f"{len(false)} of {len(people.photos):,}",
    ]  # fmt: skip


def _second(name: str) -> str:
    return f"{name}, too"


def linear_model() -> Pipeline:
    """A classifier of features, which needs seconds."""
    regression = LogisticRegression(C=0.01, max_iter=200)
    return make_pipeline(PCA(DIMENSIONS, random_state=0), StandardScaler(), regression)


def flattered(
    train: np.ndarray, table: pd.DataFrame, photos: np.ndarray, truth: np.ndarray | None, n_classes: int
) -> list[tuple[str, float, float | None]]:
    """(Split, macro-F1 out of fold, seen on the photos to predict) of a linear model on features."""
    labels = table["label"].to_numpy()
    rows: list[tuple[str, float, float | None]] = []
    for name, groups in (("by photo", table["photo"]), ("by group", table["group"])):
        fold = fold_of(table.assign(group=groups), FOLDS, 0).to_numpy()
        answers, seen = np.empty(len(labels), int), np.zeros((len(photos), n_classes))
        for number in range(FOLDS):
            held = fold == number
            model = linear_model().fit(train[~held], labels[~held])
            answers[held] = model.predict(train[held])
            if truth is not None:
                seen[:, model.classes_] += model.predict_proba(photos)
        on_eval = None if truth is None else score(truth, seen.argmax(1), n_classes).macro_f1
        rows.append((name, score(labels, answers, n_classes).macro_f1, on_eval))
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("answers", type=Path, nargs="?")
    parser.add_argument("--out", type=Path, default=Path("out/leakage_check"))
    asked = parser.parse_args(arguments)
    (task, table), photos = read_train(asked.data), read_eval(asked.data)
    asked.out.mkdir(parents=True, exist_ok=True)
    halves = []
    for name, half in (("train", table), (EVAL, photos)):
        path = asked.out / f"{name}.npy"
        if not path.exists():
            np.save(path, features_of(packaged(task), half))
        halves.append(np.load(path))
    print(f"{'both sides':>10}{'people found':>14}{'false':>14}{'photos found':>14}{'false':>14}")
    for rate in RATES:
        cells = found(halves[0], table["group"].to_numpy(str), halves[1], rate)
        print(f"{rate:10.0%}" + "".join(f"{cell:>14}" for cell in cells), flush=True)
    truth = None
    if asked.answers:
        known, _ = read_answers(asked.answers, task)
        truth = known.set_index("ImageID")["ans"].loc[photos["photo"]].to_numpy()
    warnings.simplefilter("ignore")
    for name, inside, seen in flattered(halves[0], table, halves[1], truth, task.n_classes):
        words = "" if seen is None else f", seen {seen:.3f}"
        print(f"split {name}: macro-F1 {inside:.3f} out of fold{words}", flush=True)


if __name__ == "__main__":
    main()
