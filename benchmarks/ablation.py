"""Effect on macro-F1 of each choice that the field recommends, paired with the base recipe seed by seed.

    python -m benchmarks.ablation DATA [--out out/ablation] [--pairs 8] [--only NAME ...] [--table]

Each choice differs from the base recipe in one thing; both are trained with the seeds 0 to PAIRS - 1. A seed
also determines the split, so each pair has its own training and validation people. As many trials
run at a time as there are cores. Test-time augmentation uses the base's networks. `time` is that of the
epochs, as a fraction of the base's (median of the pairs). Finished trials are kept: the same command
continues where it ended. --table only prints the finished ones, as in docs/ablation.md.
"""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from analysis.predict.trained import load
from analysis.predict.validation import predict_validation
from benchmarks.paired import paired
from common.errors import UsageError, exit_on_usage_error
from common.files import write_atomic
from common.machine import PROJECT, cores
from common.progress import track
from dataset.face_masks.labels import FACE_MASK
from dataset.read import read_train
from trial.commands.arguments import parse_arguments
from trial.config import parse
from trial.run_folder.predictions import scores_of
from trial.run_folder.record import FILES, VALIDATION, RunFolder

BASE = (
    "model=tf_efficientnet_lite0", "weights=package", "image_size=96x72", "optimizer=adamw",
    "learning_rate=0.001", "weight_decay=0.02", "schedule=onecycle", "batch_size=32", "epochs=4",
    "augment=light", "folds=4", "train_fraction=0.4", "threads=1",
)  # fmt: skip


@dataclass(frozen=True)
class Claimed:
    """A choice to measure. `values`: what differs from the base; `claim`: its reported effect, and by whom;
    `tta`: test-time augmentation, a name in trial.data.views.VIEWS."""

    values: tuple[str, ...]
    claim: str
    tta: str = "none"


ERASING = '["flip", "shift_scale", "brightness_contrast", {"_name": "random_erasing", "p": 0.5}]'
CHOICES = {
    "base": Claimed((), ""),
    "face_crop": Claimed(("crop=face",), "+.10, best public write-up"),
    "center_crop": Claimed(("crop=center",), "part of the baseline's recipe"),
    "sampler_class_balanced": Claimed(
        ("sampler=class_balanced",), "helps: best public write-up, with others +.20"
    ),
    "borders_drop": Claimed(("borders=drop",), "+.016 in some write-ups, nothing in others"),
    "borders_relabel": Claimed(("borders=relabel",), "+.016 in some write-ups, nothing in others"),
    "cutmix_vertical": Claimed(("mixing=cutmix_vertical",), "+.005 to +.01"),
    "mixup_oldest": Claimed(("mixing=mixup_oldest",), "part of the baseline"),
    "copies_baseline": Claimed(("copies=baseline",), "part of the baseline"),
    "random_erasing": Claimed((f"augment={ERASING}",), "part of the best public recipe"),
    "three_heads": Claimed(("head=three",), "mixed: up for some, down for others"),
    "loss_f1": Claimed(("loss=f1",), "part of the best public recipe"),
    "loss_weighted": Claimed(("loss=weighted",), "the baseline's final loss, with real weights"),
    "loss_class_balanced": Claimed(("loss=class_balanced",), "part of the baseline"),
    "loss_focal": Claimed(("loss=focal",), "part of the baseline"),
    "loss_label_smoothing": Claimed(("loss=label_smoothing",), "part of the baseline"),
    "freeze_batch_norm": Claimed(("freeze=batch_norm",), "none, ours"),
    "fitted_head": Claimed(
        ("init=lda", "init.shrinkage=0.3", "init.temperature=3", "freeze=batch_norm"),
        "helps: Kumar and others 2022 (LP-FT), elsewhere",
    ),
    "resizing_progressive": Claimed(
        ("resizing=progressive",), "as good in less time: Howard 2018, Tan and Le 2021, elsewhere"
    ),
    "tta_flip": Claimed((), "recurs in write-ups, no figure", tta="flip"),
    "tta_flip_crops": Claimed((), "none, ours", tta="flip_crops"),
}
TTA_ONLY = [name for name, choice in CHOICES.items() if choice.tta != "none"]
HEADER = (
    "| choice | claim | macro-F1 | difference | 95 % interval | detectable | recall 60+ | time | pairs |\n"
    "|---|---|---|---|---|---|---|---|---|"
)


def folder_of(out: Path, name: str, seed: int) -> Path:
    return out / name / f"seed{seed}"


def words_of(data: Path, out: Path, name: str, seed: int) -> list[str]:
    values = dict(word.split("=", 1) for word in (*BASE, *CHOICES[name].values))
    values |= {"data": str(data), "out": str(folder_of(out, name, seed)), "seed": str(seed)}
    return [f"{key}={value}" for key, value in values.items()]


def is_done(data: Path, out: Path, name: str, seed: int) -> bool:
    """Whether this trial, of this recipe and these photos, has finished without an error."""
    run = RunFolder(folder_of(out, name, seed))
    if name in TTA_ONLY:
        own, trained = run.folder / VALIDATION, folder_of(out, "base", seed) / VALIDATION
        return (
            is_done(data, out, "base", seed)
            and own.exists()
            and own.stat().st_mtime > trained.stat().st_mtime
        )
    return is_started(run) and is_of(data, out, name, seed) and run.status()["state"] == "done"


def is_started(run: RunFolder) -> bool:
    return (run.folder / "config.json").exists()


def is_of(data: Path, out: Path, name: str, seed: int) -> bool:
    """Whether the trial's folder holds a trial of this recipe and these photos."""
    run = RunFolder(folder_of(out, name, seed))
    ran, wanted = run.config(), parse(parse_arguments(words_of(data, out, name, seed)))
    return (ran.recipe(), ran.data) == (wanted.recipe(), wanted.data)


def train(data: Path, out: Path, name: str, seed: int) -> str:
    """Train one trial into its folder; '' or the reason why it failed."""
    folder = folder_of(out, name, seed)
    for path in map(folder.joinpath, FILES):  # half-written by an earlier call that was interrupted
        path.unlink(missing_ok=True)
    command = [sys.executable, "-m", "trial", *words_of(data, out, name, seed)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    return "" if done.returncode == 0 else f"{name}, seed {seed}: {done.stderr.strip()}"


def predict_again(data: Path, out: Path, name: str, seed: int) -> None:
    """Write the predictions of the base's network with the test-time augmentation of `name` into a folder."""
    base, folder = folder_of(out, "base", seed), folder_of(out, name, seed)
    answers = predict_validation(base, load(base), data, CHOICES[name].tta)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / VALIDATION, answers.to_parquet)


def run_all(data: Path, out: Path, names: Sequence[str], pairs: int) -> list[str]:
    """Run what is missing, seed after seed, so that all choices have the same number of pairs; the errors.

    UsageError, before anything is trained, if `data` has errors or `out` holds other trials.
    """
    trained = [name for name in names if name not in TTA_ONLY]
    read_train(data)
    trials = [(name, seed) for seed in range(pairs) for name in trained]
    started = [trial for trial in trials if is_started(RunFolder(folder_of(out, *trial)))]
    if foreign := [trial for trial in started if not is_of(data, out, *trial)]:
        advice = "; move it away, or give another --out"
        raise UsageError(
            [f"{folder_of(out, *f)}: of another recipe or other photos{advice}" for f in foreign]
        )
    missing = [trial for trial in trials if not is_done(data, out, *trial)]
    print(f"{len(missing)} of {len(trials)} trials to train, {cores()} at a time", flush=True)
    with ThreadPoolExecutor(cores()) as pool:
        jobs = [pool.submit(train, data, out, name, seed) for name, seed in missing]
        try:
            errors = [why for future in track(jobs, "ablation", "trials") if (why := future.result())]
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    for name, seed in ((n, s) for n in names if n in TTA_ONLY for s in range(pairs)):
        if is_done(data, out, "base", seed) and not is_done(data, out, name, seed):
            print(f"{name}, seed {seed}", flush=True)
            predict_again(data, out, name, seed)
    return errors


def measured(folder: Path) -> tuple[float, float]:
    """(macro-F1, mean recall of the classes of 60 and over) of a trial's best epoch, on people held out."""
    scores = scores_of(RunFolder(folder).validation())
    return scores.macro_f1, float(np.nanmean(scores.recall[list(FACE_MASK.rare)]))


def row(data: Path, out: Path, name: str, pairs: int) -> str | None:
    """A line of the table; None if fewer than two pairs are done."""
    seeds = [s for s in range(pairs) if all(is_done(data, out, n, s) for n in ("base", name))]
    if len(seeds) < 2:
        return None
    own, base = (np.array([measured(folder_of(out, n, s)) for s in seeds]) for n in (name, "base"))
    score, recall = own.mean(0)
    if name == "base":
        return f"| base | | {score:.3f} | | | | {recall:.2f} | 1 | {len(seeds)} |"
    found = paired(own[:, 0], base[:, 0])
    time = "1" if name in TTA_ONLY else f"{np.median([_seconds(out, name, s) for s in seeds]):.2f}"
    return (
        f"| {name} | {CHOICES[name].claim} | {score:.3f} | {found.mean:+.3f} | {found.low:+.3f} to "
        f"{found.high:+.3f} | {found.detectable:.3f} | {base[:, 1].mean():.2f} → {recall:.2f} "
        f"| {time} | {len(seeds)} |"
    )


def _seconds(out: Path, name: str, seed: int) -> float:
    """Seconds of the epochs of a trial, as a fraction of the base's with the same seed."""
    own, base = (RunFolder(folder_of(out, one, seed)).status()["seconds"] for one in (name, "base"))
    return float(own / base)


@exit_on_usage_error()
def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, nargs="?", default=Path("input"))
    parser.add_argument("--out", type=Path, default=PROJECT / "out" / "ablation")
    parser.add_argument("--pairs", type=int, default=8)
    parser.add_argument("--only", nargs="+", choices=CHOICES, default=list(CHOICES))
    parser.add_argument("--table", action="store_true")
    given = parser.parse_args()
    data, out, names = given.data.resolve(), given.out.resolve(), list(dict.fromkeys(["base", *given.only]))
    errors = [] if given.table else run_all(data, out, names, given.pairs)
    print(HEADER)
    print("\n".join(line for name in names if (line := row(data, out, name, given.pairs))))
    if errors:
        print("\n".join(errors), file=sys.stderr)
        raise SystemExit(1)
    print(f"\nrun folders: {out}")


if __name__ == "__main__":
    main()
