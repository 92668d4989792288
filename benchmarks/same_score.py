"""Whether the fast way scores as well as the slow one: macro-F1 by paired seeds.

    python -m benchmarks.same_score DATA [MODEL [PAIRS]]

Each pair is one seed: the same split, initial weights and order of photos. The rival augments photo by photo
with albumentations and computes in float32; ours augments whole batches, in the precision chosen by `auto`
(bfloat16 for a ResNet on some processors, float32 for mobile networks). Both read the same decoded photos.
Prints the mean difference with its 95 % interval (Student's t over the pairs), and whether that lies within
the margin of .02 on both sides.
"""

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.paired import paired
from common.progress import track
from trial.config import TrialConfig, parse
from trial.run import run
from trial.run_folder.record import RunWriter

ONE_BY_ONE = [
    {"_name": "HorizontalFlip", "p": 0.5},
    {
        "_name": "Affine",
        "translate_percent": [-0.08, 0.08],
        "scale": [0.92, 1.08],
        "border_mode": 1,
        "p": 1.0,
    },
    {"_name": "RandomBrightnessContrast", "p": 1.0},
]
RECIPES: dict[str, dict[str, Any]] = {
    "tf_efficientnet_lite0": {"weights": "package", "learning_rate": 0.002, "epochs": 4},
    "resnet10t": {"weights": "none", "learning_rate": 0.003, "epochs": 6},
}
MARGIN = 0.02
WAYS: dict[str, dict[str, Any]] = {
    "before": {"augment": ONE_BY_ONE, "precision": "float32"},
    "ours": {"augment": "light"},
}


def recipe(data: Path, model: str, seed: int, **way) -> TrialConfig:
    return parse(
        dict(data=str(data), model=model, image_size="48x36", folds=2, optimizer="adamw", weight_decay=0.02,
             schedule="onecycle", batch_size=64, seed=seed, **RECIPES[model], **way)
    )  # fmt: skip


def macro_f1(config: TrialConfig) -> tuple[float, float]:
    """(macro-F1 of the last epoch, as the best epoch's is biased; seconds)."""
    scores: list[float] = []
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        run(config, RunWriter(Path(folder, "run"), config), lambda report: scores.append(report.macro_f1))
    return scores[-1], time.perf_counter() - started


def main() -> None:
    as_written = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=as_written)
    parser.add_argument("data", type=Path)
    parser.add_argument("model", nargs="?", choices=RECIPES, default=next(iter(RECIPES)))
    parser.add_argument("pairs", nargs="?", type=int, default=12)
    given = parser.parse_args()
    compare(given.data, given.model, max(2, given.pairs))


def compare(data: Path, model: str, pairs: int) -> None:
    macro_f1(replace(recipe(data, model, 0, **WAYS["ours"]), epochs=1))  # decodes the photos; does not count
    results: dict[str, list[tuple[float, float]]] = {name: [] for name in WAYS}
    for seed in track(range(pairs), "pairs"):
        for name in list(WAYS)[:: 1 if seed % 2 else -1]:  # so that neither is always first
            results[name].append(macro_f1(recipe(data, model, seed, **WAYS[name])))
        print(f"seed {seed}: " + "  ".join(f"{name} {results[name][-1][0]:.4f}" for name in WAYS), flush=True)
    before, ours = (np.array(results[name]) for name in ("before", "ours"))
    found = paired(ours[:, 0], before[:, 0])
    print(f"macro-F1: before {before[:, 0].mean():.4f}, ours {ours[:, 0].mean():.4f}")
    interval = f"95 % interval {found.low:+.4f} to {found.high:+.4f}"
    print(f"difference {found.mean:+.4f}, {interval} over {pairs} pairs")
    within = found.low > -MARGIN and found.high < MARGIN
    print(f"{'within' if within else 'NOT within'} +-{MARGIN}")
    print(f"time: ours {ours[:, 1].mean():.1f} s, ratio {ours[:, 1].mean() / before[:, 1].mean():.2f}")


if __name__ == "__main__":
    main()
