"""Hundreds of tiny trials through NNI: memory of the processes, gaps between trials, whether all are there.

    python -m benchmarks.long_run OUT [--trials 500]        (about 4 s a trial on 2 cores)

The tuner and assessor are those of the shipped experiments; the trials train two epochs on drawn people, one
at a time. OUT gets the experiment (runs/), memory.csv (a row every ten seconds) and memory.svg. Stopped at
any time, the same command goes on with the experiment.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
import pandas as pd
import psutil
import yaml

from analysis.report.theme import LIGHT
from analysis.trials.nni_database import recorded_trials
from analysis.trials.outcomes import outcomes
from analysis.trials.table import Experiment, experiments, trial_table
from common.machine import PROJECT
from experiments.checks.ports import any_port
from trial.run_folder.record import EPOCHS, RunFolder

SAMPLE_SECONDS = 10
RECIPE = "model=test_resnet.r160_in1k weights=none image_size=32x32 epochs=2 batch_size=32 threads=1"
SPACE = {
    "learning_rate": {"_type": "loguniform", "_value": [0.0003, 0.03]},
    "augment": {"_type": "choice", "_value": ["none", "baseline", "light"]},
    "loss": {"_type": "choice", "_value": [{"_name": "cross_entropy"}, {"_name": "weighted"}]},
}
PROCESSES = {"manager": "best", "dispatcher": "default", "warm server": "median", "our command": "rare"}
ENDED = ("done", "paused", "stopped_early")


def write_experiment(out: Path, trials: int) -> Path:
    from dataset.face_masks.drawing.synthetic import draw

    draw(out / "data", people=30, height=64, width=48)
    algorithm = {"codeDirectory": str(PROJECT)}
    config = {
        "experimentName": "long_run",
        "experimentWorkingDirectory": str(out / "runs"),
        "searchSpace": SPACE,
        "trialCodeDirectory": str(PROJECT),
        "trialCommand": f"python -m trial data={out / 'data'} {RECIPE}",
        "trialConcurrency": 1,
        "maxTrialNumber": trials,
        "tuner": {"className": "tuners.search.Search", "classArgs": {"seed": 0}, **algorithm},
        "assessor": {"className": "tuners.search.PauseAndGoOn", **algorithm},
        "trainingService": {"platform": "local"},
    }
    path = out / "long_run.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return path


def processes_of(experiment: Experiment, command: int) -> dict[str, int]:
    """{name of PROCESSES: process id} of those that run now."""
    known = {one.pid: one for one in psutil.process_iter(["cmdline", "ppid"])}
    lines = {pid: one.info["cmdline"] or [] for pid, one in known.items()}
    managers = [pid for pid, line in lines.items() if experiment.id in line and "nni_node" in " ".join(line)]
    if not managers:
        return {"our command": command}
    found = {"our command": command, "manager": managers[0]}
    server = ["-m", "trial.warm.server", str(managers[0])]
    for pid, line in lines.items():
        parent = known[pid].info["ppid"]
        above = known[parent].info["ppid"] if parent in known else 0  # NNI starts it by way of a shell
        if line[1:3] == ["-m", "nni"] and managers[0] in (parent, above):
            found["dispatcher"] = pid
        # Trials are forked from the server, and have its name.
        if line[1:4] == server and lines.get(parent, [])[1:4] != server:
            found["warm server"] = pid
    return found


def sample(experiment: Experiment, command: int) -> dict[str, float]:
    """Trials that have begun, and megabytes of resident memory of each process."""
    row: dict[str, float] = {"time": time.time(), "trials": len(recorded_trials(experiment.folder))}
    for name, pid in processes_of(experiment, command).items():
        try:
            row[name] = psutil.Process(pid).memory_info().rss / 1e6
        except psutil.Error:  # it has just ended
            continue
    return row


def watch(command: Sequence[str | Path], out: Path) -> None:
    """Run a command of experiments to its end, adding rows to memory.csv."""
    table = out / "memory.csv"
    # NNI keeps its list of experiments in HOME: the user's own is not touched.
    environ = {**os.environ, "HOME": str(out)}
    with (out / "run.log").open("a") as log:
        running = subprocess.Popen(command, cwd=PROJECT, env=environ, stdout=log, stderr=log)
        try:
            while running.poll() is None:
                time.sleep(SAMPLE_SECONDS)
                begun = experiments(out / "runs")
                if begun and running.poll() is None:  # one that has ended holds no memory
                    row = pd.DataFrame(
                        [sample(begun[-1], running.pid)], columns=["time", "trials", *PROCESSES]
                    )
                    row.to_csv(table, mode="a", header=not table.exists(), index=False)
        finally:
            running.terminate()
            running.wait()
    if running.returncode:
        raise SystemExit(f"the experiment ended with {running.returncode}: {out / 'run.log'}")


def gaps(folder: Path) -> np.ndarray:
    """Seconds from the last epoch's end of each trial to the first one's begin of the next, in order."""
    spans = []
    for recorded in recorded_trials(folder):
        run = RunFolder(folder / "trials" / recorded.trial)
        epochs = run.epochs()
        end = (run.folder / EPOCHS).stat().st_mtime
        new = epochs.iloc[-(run.status()["epochs"] - _copied(run, folder)) :]
        spans.append((end - new["seconds"].sum(), end))
    begins, ends = np.array(sorted(spans)).T
    return begins[1:] - ends[:-1]


def _copied(run: RunFolder, folder: Path) -> int:
    """Epochs that a trial has from the one that it went on from."""
    parent = run.status().get("parent")
    return int(RunFolder(folder / "trials" / str(parent)).status()["epochs"]) if parent else 0


def faults(experiment: Experiment, trials: int) -> dict[str, int]:
    """Trials that are missing, counted twice, ran other values than recorded, or did not end well."""
    recorded = recorded_trials(experiment.folder)
    kept = outcomes(experiment.folder)
    standing = [one.recorded.trial for whole in kept for one in (*whole.earlier, whole)]
    table = trial_table(experiment)
    folders = {path.name for path in (experiment.folder / "trials").iterdir() if path.is_dir()}
    return {
        "missing": trials - len(recorded) + len({one.trial for one in recorded} - folders),
        "doubled": len(standing) - len(set(standing)) + int(table["sequence"].duplicated().sum()),
        "mislabelled": int((table["state"] == "mismatch").sum()),
        "not ended well": int((~table["state"].isin((*ENDED, "mismatch"))).sum()),
    }


def summary(memory: pd.DataFrame, between: np.ndarray, found: Mapping[str, int]) -> str:
    """A line per process, for the gaps and for the faults: first tenth against last."""
    lines = []
    tenth = max(1, len(memory) // 10)
    for name in PROCESSES:
        values = memory[name].dropna()
        first, last = values.iloc[tenth : 2 * tenth].median(), values.iloc[-tenth:].median()
        lines.append(
            f"{name}: {first:.0f} MB in the second tenth, {last:.0f} MB in the last, most {values.max():.0f}"
        )
    tenth = max(1, len(between) // 10)
    first, last = np.median(between[:tenth]), np.median(between[-tenth:])
    lines.append(f"gap between trials: median {first:.2f} s in the first tenth, {last:.2f} s in the last")
    lines.append(", ".join(f"{name}: {count}" for name, count in found.items()))
    return "\n".join(lines)


def figure(memory: pd.DataFrame, width: int = 640, height: int = 300) -> str:
    """Memory against the number of trials, as SVG."""
    left, right, top, bottom = 60, 130, 12, 40
    most = float(np.ceil(memory[list(PROCESSES)].max().max() / 100) * 100)
    last = max(1.0, float(memory["trials"].max()))

    def at(trials: float, megabytes: float) -> tuple[float, float]:
        x = left + (width - left - right) * trials / last
        return x, height - bottom - (height - top - bottom) * megabytes / most

    parts = []
    for level in np.linspace(0, most, 5):
        x, y = at(0, level)
        parts.append(
            f'<line x1="{x}" x2="{width - right}" y1="{y:.1f}" y2="{y:.1f}" stroke="{LIGHT["grid"]}"/>'
        )
        parts.append(f'<text x="{x - 6}" y="{y + 4:.1f}" text-anchor="end">{level:.0f} MB</text>')
    for trials in np.linspace(0, last, 6):
        x, y = at(trials, 0)
        parts.append(f'<text x="{x:.1f}" y="{y + 18:.1f}" text-anchor="middle">{trials:.0f}</text>')
    x, y = at(last / 2, 0)
    parts.append(f'<text x="{x:.1f}" y="{y + 34:.1f}" text-anchor="middle">trials</text>')
    for name, colour in PROCESSES.items():
        rows = memory[["trials", name]].dropna()
        if rows.empty:  # an experiment of seconds
            continue
        points = [at(*row) for row in rows.itertuples(index=False)]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{LIGHT[colour]}" stroke-width="2"/>')
        x, y = points[-1]
        parts.append(f'<text x="{x + 6:.1f}" y="{y + 4:.1f}" fill="{LIGHT[colour]}">{escape(name)}</text>')
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
    style = f'font-family="sans-serif" font-size="12" fill="{LIGHT["muted"]}"'
    ground = f'<rect width="{width}" height="{height}" fill="{LIGHT["paper"]}"/>'
    return f"{head}{style}>{ground}{''.join(parts)}</svg>\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--trials", type=int, default=500)
    arguments = parser.parse_args()
    out = arguments.out.resolve()
    experiment = [sys.executable, "-m", "experiments"]
    begun = [one for one in experiments(out / "runs") if recorded_trials(one.folder)]
    if not begun:
        out.mkdir(parents=True, exist_ok=True)
        yaml_path = write_experiment(out, arguments.trials)
        watch([*experiment, "run", yaml_path, "--port", str(any_port())], out)
    elif (ran := len(recorded_trials(begun[-1].folder))) < arguments.trials:
        watch([*experiment, "resume", begun[-1].folder, "--trials", str(arguments.trials - ran)], out)
    done = experiments(out / "runs")[-1]
    memory = pd.read_csv(out / "memory.csv")
    (out / "memory.svg").write_text(figure(memory))
    print(summary(memory, gaps(done.folder), faults(done, arguments.trials)))


if __name__ == "__main__":
    main()
