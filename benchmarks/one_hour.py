"""The best recipe for an hour of 2 cores, against the seed project's with the same network, size and hour.

    python -m benchmarks.one_hour DATA ANSWERS.csv [--minutes 60]

Ours is recipes/cpu_hour.json, chosen on validation people only; the answers are for the scores alone. The
seed project's: flip .3, Adam 1e-4 throughout, weighted cross-entropy (1 - frequency), the whole photo. Each
is trained on all people for as many epochs as an hour holds, by the time that one takes.
"""

import argparse
import tempfile
import time
from pathlib import Path

from analysis.finish import retrain_and_submit
from analysis.recipes import Recipe, read_recipe
from analysis.retrain import retrain
from analysis.submission import score_submission
from dataset.labels import CLASS_NAMES, is_oldest
from dataset.machine import PROJECT
from trial.record import RunFolder

OURS, SEED = PROJECT / "recipes" / "cpu_hour.json", PROJECT / "recipes" / "seed_resnet34.json"
SAME = ("model", "weights", "image_size")  # in both


def epochs_in(minutes: float, recipe: Recipe, data: Path, folder: Path) -> int:
    """How many of the recipe's epochs take `minutes`."""
    config = recipe.config({"data": str(data), "epochs": 1})
    retrain(config, folder / "first")  # finds faces and decodes photos, too
    retrain(config, folder / "second")
    return max(1, int(60 * minutes / RunFolder(folder / "second").status()["seconds"]))


def main() -> None:
    as_written = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=as_written)
    parser.add_argument("data", type=Path)
    parser.add_argument("answers", type=Path)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--out", type=Path, default=PROJECT / "out" / "one_hour")
    given = parser.parse_args()
    ours, seed = read_recipe(OURS), read_recipe(SEED)
    seed.recipe.update({name: ours.recipe[name] for name in SAME})
    scores = {}
    for name, recipe in (("ours", ours), ("seed", seed)):
        with tempfile.TemporaryDirectory() as folder:
            epochs = epochs_in(given.minutes, recipe, given.data, Path(folder))
        began, out = time.perf_counter(), given.out / name
        retrain_and_submit(recipe, given.data, out, {"epochs": epochs})
        scores[name] = score_submission(out / "submission.csv", given.answers)
        recalls = [scores[name]["recall"][CLASS_NAMES[label]] for label in range(18) if is_oldest(label)]
        print(
            f"{name}: macro-F1 {scores[name]['macro_f1']:.3f}, accuracy {scores[name]['accuracy']:.3f}, "
            f"recall of 60 and over {sum(recalls) / len(recalls):.3f}, {epochs} epochs, "
            f"{(time.perf_counter() - began) / 60:.0f} minutes ({out})",
            flush=True,
        )
    print(f"ratio of macro-F1: {scores['ours']['macro_f1'] / scores['seed']['macro_f1']:.2f}")


if __name__ == "__main__":
    main()
