"""Searches through NNI at equal wall time: ours against the one before it, scored on people neither has seen.

    python -m benchmarks.search.live DATA ANSWERS.csv [--kind KIND] [--minutes 15] [--seeds 3] [--method ours]

The searches of a seed run side by side, one trial at a time in one thread each; the folds differ with the
seed. Kinds of experiments: `table`, the space of the recorded table (space.json) on a fraction of the people,
a minute and more each, from the table's default on; `frozen`, heads on the frozen features of one network, as
in experiments/frozen_heads.yaml, a few seconds each. The network of the best trial by validation then
predicts eval/, and ANSWERS.csv scores it. A finished search is not run again, so that the command may be
stopped and started again.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import yaml

from analysis.submission import CSV
from analysis.trials.ranking import rank
from analysis.trials.table import find, trial_table
from benchmarks.search.record import DEFAULT, SPACE
from common.errors import UsageError, exit_on_usage_error, unknown
from common.files import write_json
from common.machine import PROJECT


@dataclass(frozen=True)
class Kind:
    """Of experiments: the file of the `space`, the `words` that are the same in all trials, and the `default`
    that replaces first options and middles in the first recipe."""

    space: Path
    words: str
    default: dict[str, Any] = field(default_factory=dict)


KINDS = {
    "table": Kind(SPACE, "epochs=5 train_fraction=0.2", DEFAULT),
    "frozen": Kind(
        PROJECT / "search_spaces" / "frozen_heads.json",
        "model=tf_efficientnet_lite0 weights=package image_size=160x120 features=cached features.views=none"
        " epochs=10",
    ),
}
RESULT = "result.json"
METHODS: dict[str, dict[str, Any]] = {
    "ours": {
        "tuner": {"className": "tuners.search.Search"},
        "assessor": {"className": "tuners.search.PauseAndGoOn"},
    },
    "cannot_win": {
        "tuner": {"className": "tuners.search.Search"},
        "assessor": {"className": "tuners.search.CannotWin"},
    },
    "before": {
        "tuner": {
            "className": "benchmarks.search.earlier.DefaultFirstTPE",
            "classArgs": {"tpe_args": {"n_startup_jobs": 8}},
        },
        "assessor": {
            "className": "benchmarks.search.earlier.MedianOfFinished",
            "classArgs": {"start_epoch": 3, "min_finished": 4},
        },
    },
    "random": {"tuner": {"className": "tuners.search.Search", "classArgs": {"sampler": "random"}}},
}


def space(kind: str) -> dict[str, Any]:
    """The space of `kind`; networks without packaged weights are trained from random ones."""
    found: dict[str, Any] = json.loads(KINDS[kind].space.read_text())
    for network in found.get("model", {}).get("_value", []):
        network.setdefault("weights", {"_type": "choice", "_value": ["none"]})
    return found


def words(kind: str, data: Path) -> list[str]:
    """What is the same in all trials of `kind`."""
    return [
        f"data={data.resolve()}",
        "precision=float32",
        "threads=1",
        "workers=0",
        *KINDS[kind].words.split(),
    ]


def make_features(kind: str, data: Path) -> None:
    """Fill the cache that all trials of frozen features share, before any search's clock starts."""
    if "features=cached" in KINDS[kind].words:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "trial", *words(kind, data), f"out={folder}/run"]
            subprocess.run(command, cwd=PROJECT, check=True)


def write_experiment(kind: str, method: str, seed: int, minutes: float, data: Path, folder: Path) -> Path:
    """The experiment's YAML in `folder`, which will hold its runs, too."""
    algorithms = json.loads(json.dumps(METHODS[method]))
    for algorithm in algorithms.values():
        algorithm["codeDirectory"] = str(PROJECT)
    algorithms["tuner"].setdefault("classArgs", {}).update(seed=seed, default=KINDS[kind].default)
    (folder / "space.json").write_text(json.dumps(space(kind), indent=1))
    experiment = {
        "experimentName": f"live_{method}_{seed}",
        "experimentWorkingDirectory": str(folder.resolve()),
        "searchSpaceFile": "space.json",
        "trialCodeDirectory": str(PROJECT),
        "trialCommand": " ".join(["python -m trial", *words(kind, data), f"seed={seed}"]),
        "trialConcurrency": 1,
        "maxTrialNumber": 500,  # never reached; the disk is checked for as many
        "maxExperimentDuration": f"{round(60 * minutes)}s",
        "trainingService": {"platform": "local"},
        **algorithms,
    }
    path = folder / "experiment.yaml"
    path.write_text(yaml.safe_dump(experiment, sort_keys=False))
    return path


def searched(folder: Path, data: Path, answers: Path) -> dict[str, Any]:
    """What the ended search in `folder` found; kept there as RESULT."""
    experiment = find(str((folder / "_latest").resolve()))
    ranking = rank(trial_table(experiment))
    best = ranking.best().iloc[0]
    submission = folder / "submission"
    shutil.rmtree(submission, ignore_errors=True)  # of a command that was stopped before it scored it
    run = experiment.folder / "trials" / str(best["trial"])
    _analysis("predict", run, "--data", data, "--out", submission)
    scores = json.loads(_analysis("score", submission / CSV, answers, "--json"))
    found = {
        "trials": len(ranking.table),
        "finished": len(ranking.ranked),
        "validation": float(best["macro_f1"]),
        "new_people": scores["macro_f1"],
    }
    write_json(folder / RESULT, found)
    return found


def _analysis(*words: Any) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "analysis", *map(str, words)], cwd=PROJECT, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(f"analysis {words[0]} failed: {done.stderr.strip()}")
    return done.stdout


def search(kind: str, methods: Sequence[str], seed: int, minutes: float, data: Path, out: Path) -> None:
    """Run the searches of one seed side by side; those that have ended before are left as they are."""
    folders = {method: out / f"{method}-{seed}" for method in methods}
    left = {method: folder for method, folder in folders.items() if not (folder / "ended").exists()}
    if cut := [folder for folder in left.values() if folder.exists()]:
        raise UsageError([f"{folder}: holds a search that did not end; move it away" for folder in cut])
    running: list[tuple[Path, subprocess.Popen[bytes]]] = []
    try:
        for method, folder in left.items():
            folder.mkdir(parents=True)
            path = write_experiment(kind, method, seed, minutes, data, folder)
            command = [sys.executable, "-m", "experiments", "run", str(path)]
            with (folder / "run.log").open("w") as log:
                running.append((folder, subprocess.Popen(command, cwd=PROJECT, stdout=log, stderr=log)))
        for folder, process in running:
            if process.wait():
                raise RuntimeError(f"the search failed; see {folder / 'run.log'}")
            (folder / "ended").touch()
    finally:
        for _, process in running:
            if process.poll() is None:
                process.terminate()
                process.wait()


def text(found: dict[str, list[dict[str, Any]]]) -> str:
    """A line per method, and one for each difference from the first, paired over the seeds."""
    lines = []
    for method, results in found.items():
        means = {key: mean(result[key] for result in results) for key in results[0]}
        each = ", ".join(f"{result['new_people']:.3f}" for result in results)
        lines.append(
            f"{method}: macro-F1 on new people {means['new_people']:.3f} ({each}), validation "
            f"{means['validation']:.3f}, {means['trials']:.0f} trials, {means['finished']:.0f} to the end"
        )
    first, *others = found
    for other in others:
        differences = [
            ours["new_people"] - theirs["new_people"]
            for ours, theirs in zip(found[first], found[other], strict=True)
        ]
        error = stdev(differences) / len(differences) ** 0.5 if differences[1:] else float("nan")
        lines.append(f"{first} - {other}: {mean(differences):+.3f} +- {error:.3f} (standard error)")
    return "\n".join(lines)


@exit_on_usage_error()
def main() -> None:
    as_written = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=as_written)
    parser.add_argument("data", type=Path)
    parser.add_argument("answers", type=Path)
    parser.add_argument("--kind", choices=KINDS, default="table")
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--method", action="append", default=[], help=f"of {', '.join(METHODS)}")
    parser.add_argument("--out", type=Path, help="default: out/search_live/KIND")
    given = parser.parse_args()
    out = given.out or PROJECT / "out" / "search_live" / given.kind
    methods = given.method or ["ours", "before"]
    if wrong := [unknown("method", name, METHODS) for name in methods if name not in METHODS]:
        raise UsageError(wrong)
    found: dict[str, list[dict[str, Any]]] = {method: [] for method in methods}
    make_features(given.kind, given.data)
    for seed in range(given.seeds):
        search(given.kind, methods, seed, given.minutes, given.data, out)
        for method in methods:
            folder = out / f"{method}-{seed}"
            kept = folder / RESULT
            result = (
                json.loads(kept.read_text()) if kept.exists() else searched(folder, given.data, given.answers)
            )
            found[method].append(result)
            print(f"{method}, seed {seed}: {result}", flush=True)
    print(text(found))


if __name__ == "__main__":
    main()
