"""The recipe for an hour of 2 cores against the baseline's with the same network, size and time.

    python -m benchmarks.one_hour DATA ANSWERS.csv [--out out/one_hour] [--only ours|baseline]

Ours is recipes/cpu_hour.json: a network for each fold, whose vote is validated on all people and predicts
with mirror images. The baseline's: flip .3, Adam 1e-4 throughout, weighted cross-entropy (1 - frequency), the
whole photo; one network is trained on all people for as many epochs as fit into the time of ours, by the
measured time of one. The answers are used for scores alone. Each has a folder, and a finished one is not
trained again: the second can be trained another day.
"""

import argparse
import json
import tempfile
from dataclasses import replace
from math import nan
from pathlib import Path
from statistics import mean
from typing import Any

from analysis.pipeline import retrain_and_submit
from analysis.prediction import predict_and_submit
from analysis.recipes import Recipe, read_recipe
from analysis.retrain import retrain
from analysis.score import score_submission
from analysis.submission import CSV, JSON
from common.errors import UsageError, exit_on_usage_error
from common.files import folder_atomic
from common.machine import PROJECT
from dataset.face_masks.labels import FACE_MASK
from trial.config import TrialConfig
from trial.run import run
from trial.run_folder.record import RunFolder, RunWriter

OURS, BASELINE = PROJECT / "recipes" / "cpu_hour.json", PROJECT / "recipes" / "baseline_resnet34.json"
SAME = ("model", "weights", "image_size")  # in both
NAMES = ("ours", "baseline")
OLDEST = [FACE_MASK.classes[label] for label in FACE_MASK.rare]


def is_done(out: Path, recipe: dict[str, Any]) -> bool:
    """Whether `out` holds the recipe's submission. UsageError if it holds another recipe's."""
    if not (out / CSV).exists():
        return False
    if json.loads((out / JSON).read_text())["recipe"] | {"epochs": None} != recipe | {"epochs": None}:
        raise UsageError(f"{out}: holds another recipe's submission; move it away, or give another --out")
    return True


def train_ours(config: TrialConfig, out: Path) -> None:
    """Train into the new folder `out`, which appears only once it is complete."""
    with folder_atomic(out) as part:
        writer = RunWriter(part, config)
        run(config, writer, print)
        writer.end("done")
        predict_and_submit(part, Path(config.data), part / "predicted", tta="flip")
        for name in (CSV, JSON):
            (part / "predicted" / name).rename(part / name)


def train_baseline(recipe: Recipe, data: Path, out: Path, minutes: float) -> None:
    """As `train_ours`, for `minutes`."""
    with tempfile.TemporaryDirectory() as folder:
        config = recipe.config({"data": str(data), "epochs": 1})
        retrain(config, Path(folder, "first"))  # decodes photos, too
        retrain(config, Path(folder, "second"))
        seconds = RunFolder(Path(folder, "second")).status()["seconds"]
    with folder_atomic(out) as part:
        retrain_and_submit(recipe, data, part, {"epochs": max(1, int(60 * minutes / seconds))})


def score_line(name: str, out: Path, answers: Path) -> tuple[str, float]:
    """(a line on a submission's score, its macro-F1)."""
    scores, status = score_submission(out / CSV, answers), RunFolder(out).status()
    recalls = [scores["recall"][name] for name in OLDEST]
    oldest = mean([recall for recall in recalls if recall is not None] or [nan])  # None: nobody of that class
    line = f"{name}: macro-F1 {scores['macro_f1']:.3f}, accuracy {scores['accuracy']:.3f}, "
    line += f"recall of 60 and over {oldest:.3f}, {status['epochs']} epochs "
    return line + f"in {status['seconds'] / 60:.0f} minutes ({out})", scores["macro_f1"]


@exit_on_usage_error()
def main() -> None:
    as_written = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=as_written)
    parser.add_argument("data", type=Path)
    parser.add_argument("answers", type=Path)
    parser.add_argument("--out", type=Path, default=PROJECT / "out" / "one_hour")
    parser.add_argument("--only", choices=NAMES)
    given = parser.parse_args()
    ours, baseline = read_recipe(OURS), read_recipe(BASELINE)
    baseline = replace(baseline, recipe=baseline.recipe | {name: ours.recipe[name] for name in SAME})
    configs = {
        "ours": ours.config({"data": str(given.data), "fold": "all"}),
        "baseline": baseline.config({"data": str(given.data)}),
    }
    folders = {name: given.out / name for name in NAMES}
    missing = {name for name in NAMES if not is_done(folders[name], configs[name].recipe())}
    if "ours" in missing and given.only == "baseline":
        raise UsageError(f"{folders['ours']}: train ours first: its minutes are the baseline's")
    if "ours" in missing:
        train_ours(configs["ours"], folders["ours"])
    if "baseline" in missing and given.only != "ours":
        minutes = RunFolder(folders["ours"]).status()["seconds"] / 60
        train_baseline(baseline, given.data, folders["baseline"], minutes)
    scores = {}
    for name, out in folders.items():
        if out.exists():
            line, scores[name] = score_line(name, out, given.answers)
            print(line, flush=True)
    if len(scores) == len(NAMES):
        print(f"ratio of macro-F1: {scores['ours'] / scores['baseline']:.2f}")


if __name__ == "__main__":
    main()
