"""The recipe for an hour of 2 cores against the baseline's with the same network, size and time.

    python -m benchmarks.one_hour DATA ANSWERS.csv [--minutes 60] [--out out/one_hour] [--only ours|baseline]

Ours is recipes/cpu_hour.json, chosen on validation people only; the answers are used for scores alone. The
baseline's: flip .3, Adam 1e-4 throughout, weighted cross-entropy (1 - frequency), the whole photo. Each is
trained on all people for as many epochs as fit the minutes, by the measured time of one. Each has a folder,
and a finished one is not trained again: the second can be trained another day.
"""

import argparse
import json
import tempfile
from dataclasses import replace
from math import nan
from pathlib import Path
from statistics import mean

from analysis.pipeline import retrain_and_submit
from analysis.recipes import Recipe, read_recipe
from analysis.retrain import retrain
from analysis.score import score_submission
from analysis.submission import CSV, JSON
from common.errors import UsageError, exit_on_usage_error
from common.files import folder_atomic
from common.machine import PROJECT
from dataset.face_masks.labels import FACE_MASK
from trial.run_folder.record import RunFolder

OURS, BASELINE = PROJECT / "recipes" / "cpu_hour.json", PROJECT / "recipes" / "baseline_resnet34.json"
SAME = ("model", "weights", "image_size")  # in both
TTA = {"ours": "flip_crops", "baseline": "none"}
OLDEST = [FACE_MASK.classes[label] for label in FACE_MASK.rare]


def contenders() -> dict[str, Recipe]:
    ours, baseline = read_recipe(OURS), read_recipe(BASELINE)
    same = {name: ours.recipe[name] for name in SAME}
    return {"ours": ours, "baseline": replace(baseline, recipe=baseline.recipe | same)}


def is_done(recipe: Recipe, data: Path, out: Path) -> bool:
    """Whether `out` holds the recipe's submission. UsageError if it holds another recipe's."""
    if not (out / CSV).exists():
        return False
    ran = json.loads((out / JSON).read_text())["recipe"]
    if ran != recipe.config({"data": str(data), "epochs": ran["epochs"]}).recipe():
        raise UsageError(f"{out}: holds another recipe's submission; move it away, or give another --out")
    return True


def epochs_in(minutes: float, recipe: Recipe, data: Path) -> int:
    """How many of the recipe's epochs take `minutes`."""
    config = recipe.config({"data": str(data), "epochs": 1})
    with tempfile.TemporaryDirectory() as folder:
        retrain(config, Path(folder, "first"))  # finds faces and decodes photos, too
        retrain(config, Path(folder, "second"))
        return max(1, int(60 * minutes / RunFolder(Path(folder, "second")).status()["seconds"]))


def train(name: str, recipe: Recipe, data: Path, out: Path, minutes: float) -> None:
    """Train into the new folder `out`, which appears only once it is complete."""
    epochs = epochs_in(minutes, recipe, data)
    with folder_atomic(out) as part:
        retrain_and_submit(recipe, data, part, {"epochs": epochs}, tta=TTA[name])


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
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--out", type=Path, default=PROJECT / "out" / "one_hour")
    parser.add_argument("--only", choices=TTA)
    given = parser.parse_args()
    missing = {n: r for n, r in contenders().items() if not is_done(r, given.data, given.out / n)}
    scores = {}
    for name, recipe in contenders().items():
        out = given.out / name
        if name in missing and given.only in (None, name):
            train(name, recipe, given.data, out, given.minutes)
        if out.exists():
            line, scores[name] = score_line(name, out, given.answers)
            print(line, flush=True)
    if len(scores) == len(TTA):
        print(f"ratio of macro-F1: {scores['ours'] / scores['baseline']:.2f}")


if __name__ == "__main__":
    main()
