"""Minutes and macro-F1 of shipped recipes, trained on all people, beside the plain way, in one run.

    python -m benchmarks.minutes DATA ANSWERS.csv [recipes/cpu_frozen.json ...]

The plain way is that of benchmarks/real_faces.py: the script that most people would write. Minutes are from
the start of the command to the submission, with decoding, features and prediction: out/cache is removed
before each. The answers are used for the scores only.
"""

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd

from analysis.pipeline import retrain_and_submit
from analysis.recipes import read_recipe
from analysis.score import score_submission
from analysis.submission import CSV
from benchmarks.real_faces import plain_score
from common.errors import exit_on_usage_error
from common.machine import PROJECT
from dataset.cache.arrays import CACHE

SHORT = ("cpu_frozen", "cpu_quick")  # need no fetched weights
COLUMNS = ["macro_f1", "accuracy", "recall_rare"]


def recipe_scores(recipe: Path, data: Path, answers: Path, tta: str) -> dict[str, float]:
    """The scores of a recipe that is trained on all people."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "run")
        retrain_and_submit(read_recipe(recipe), data, out, {}, tta=tta)
        return score_submission(out / CSV, answers)


@exit_on_usage_error()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("answers", type=Path)
    parser.add_argument("recipes", type=Path, nargs="*")
    parser.add_argument("--tta", default="flip")
    given = parser.parse_args()
    recipes = given.recipes or [PROJECT / "recipes" / f"{name}.json" for name in SHORT]
    ways: dict[str, Callable[[], dict[str, float]]] = {
        path.stem: partial(recipe_scores, path, given.data, given.answers, given.tta) for path in recipes
    }
    ways["plain way"] = partial(plain_score, given.data, given.answers, 0)
    rows = {}
    for name, way in ways.items():
        shutil.rmtree(CACHE, ignore_errors=True)
        started = time.perf_counter()
        scores = way()
        rows[name] = {column: scores.get(column) for column in COLUMNS}
        rows[name]["minutes"] = (time.perf_counter() - started) / 60
        print(f"{name}: {rows[name]}", flush=True)
    table = pd.DataFrame(rows).T
    table["of_plain"] = table["minutes"] / table.loc["plain way", "minutes"]
    print(f"\n{table.astype(float).round(3).to_string()}")


if __name__ == "__main__":
    main()
