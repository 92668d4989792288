"""What the ranks of frozen networks are worth for fine-tuning: their rank correlation over recipes.

    python -m benchmarks.frozen_ranks DATA [--out out/frozen_ranks]

The recipes are those of search_spaces/backbones.json up to 128x96. Each is trained twice on people of the
same fold: as in experiments/backbones.yaml (cached features, a fitted head, no step of training), and then
all layers from a fitted head for EPOCHS epochs on FRACTION of the people. Two run at a time, one thread each.
A finished one is not run again. Prints both scores of each, Spearman's correlation with its 95 % interval by
bootstrap over recipes, and how far the fine-tuned score of the frozen winner lies below the best one.
"""

import argparse
import itertools
import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from common.errors import UsageError, exit_on_usage_error
from common.machine import PROJECT, cores
from common.progress import track
from trial.run_folder.record import RunFolder

SPACE = PROJECT / "search_spaces" / "backbones.json"
EPOCHS, FRACTION, LARGEST = 3, 0.25, 128
HEAD = ("weights=package", "head=auto", "init=lda", "init.shrinkage=0.3", "threads=1")
FROZEN = ("features=cached", "features.views=none", "learning_rate=0", "epochs=1")
TUNED = (
    "init.temperature=3", "freeze=batch_norm", "learning_rate=0.0005", "optimizer=adamw", "schedule=onecycle",
    "ema=0.99", "augment=light", "batch_size=32", f"epochs={EPOCHS}", f"train_fraction={FRACTION}",
)  # fmt: skip
WAYS = {"frozen": FROZEN, "tuned": TUNED}


def recipes() -> list[dict[str, str]]:
    """The points of the space, small ones only."""
    space = json.loads(SPACE.read_text())
    models = [option["_name"] for option in space["model"]["_value"]]
    sizes = [size for size in space["image_size"]["_value"] if int(size.partition("x")[0]) <= LARGEST]
    crops = space["crop"]["_value"]
    return [
        {"model": model, "image_size": size, "crop": crop}
        for model, size, crop in itertools.product(models, sizes, crops)
    ]


def measure(data: Path, out: Path, recipe: dict[str, str], way: str) -> dict[str, float]:
    """{the way: macro-F1, its seconds}, of a run that is trained unless it is there."""
    folder = out / way / "-".join(recipe.values())
    if not folder.is_dir() or RunFolder(folder).status()["state"] != "done":
        shutil.rmtree(folder, ignore_errors=True)
        words = [*HEAD, *WAYS[way], *(f"{key}={value}" for key, value in recipe.items())]
        command = [sys.executable, "-m", "trial", f"data={data}", f"out={folder}", *words]
        done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
        if done.returncode:
            raise UsageError(f"{folder}: {done.stderr.strip()}")
    status = RunFolder(folder).status()
    return {way: status["score"], f"{way}_seconds": status["seconds"]}


@exit_on_usage_error()
def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, default=PROJECT / "out" / "frozen_ranks")
    given = parser.parse_args()
    data, out = given.data.resolve(), given.out.resolve()
    with ThreadPoolExecutor(cores()) as pool:
        jobs = {
            (number, way): pool.submit(measure, data, out, recipe, way)
            for way in WAYS
            for number, recipe in enumerate(recipes())
        }
        for job in track(list(jobs.values()), "frozen_ranks", "runs"):
            job.result()
    table = pd.DataFrame(
        [
            {**recipe, **jobs[number, "frozen"].result(), **jobs[number, "tuned"].result()}
            for number, recipe in enumerate(recipes())
        ]
    ).sort_values("tuned", ascending=False)
    print(table.round(3).to_string(index=False))
    rng = np.random.default_rng(0)
    drawn = rng.integers(len(table), size=(2000, len(table)))
    each = [spearmanr(table["frozen"].iloc[rows], table["tuned"].iloc[rows])[0] for rows in drawn]
    low, high = np.nanquantile(each, [0.025, 0.975])
    print(f"rank correlation {spearmanr(table['frozen'], table['tuned'])[0]:.2f} ({low:.2f} to {high:.2f})")
    chosen = table.loc[table["frozen"].idxmax()]
    print(f"the frozen winner, fine-tuned: {chosen['tuned']:.3f}, the best: {table['tuned'].max():.3f}")


if __name__ == "__main__":
    main()
