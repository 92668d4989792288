"""The trials table and the report of ever larger experiments: wall time and peak memory of the commands.

The experiment is made up: tests/analysis/trials/large_experiment.py, 30 epochs and 1,300 validation photos a trial.
The rival is what no faster code could save: starting Python with the libraries that make a table (or a page).
The last rows of a command set each size against the one before it, and the largest against the target. A
round that doesn't count comes first, so files are read from memory rather than from a disk.

    python -m benchmarks scale            (200 to 2,000 trials: some 2 minutes, and 400 MB in the temp folder)
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path

from benchmarks.measure import Row, in_turn
from tests.analysis.trials.large_experiment import LargeExperiment

PROJECT = Path(__file__).resolve().parent.parent
SIZES = (200, 500, 1000, 2000)
TARGETS = {"trials": 3.0, "report": 10.0}  # seconds, at the largest size
IMPORTS = {"trials": "import pandas, typer", "report": "import pandas, typer, jinja2, plotly.graph_objects"}


def measured(*command: str) -> tuple[float, float]:
    """Seconds from the start of the command to its end, and its peak memory in MB."""
    started, peak = time.perf_counter(), 0.0
    process = subprocess.Popen([sys.executable, *command], cwd=PROJECT, stdout=subprocess.DEVNULL)
    # Not rusage's ru_maxrss: a child's begins with what its parent held.
    while process.poll() is None:
        if found := re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_text()):
            peak = int(found[1]) / 1024
        time.sleep(0.005)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
    return time.perf_counter() - started, peak


def both(command: list[str], bare: list[str], repeats: int) -> tuple[Row, Row]:
    """The command against the bare start: seconds, and MB."""
    peaks: dict[str, list[float]] = {"ours": [], "bare start": []}

    def way(name: str, words: list[str]) -> float:
        seconds, peak = measured(*words)
        peaks[name].append(peak)
        return seconds

    seconds = in_turn(
        {name: partial(way, name, w) for name, w in zip(peaks, (command, bare), strict=True)}, repeats
    )
    last = {name: values[-repeats:] for name, values in peaks.items()}
    return Row("", "s", seconds, *peaks), Row("", "MB", last, *peaks)


def rows(quick: bool = False) -> list[Row]:
    """Seconds and MB of both commands at each size; then the growth from size to size, and the target."""
    sizes, repeats = ((100, 200), 1) if quick else (SIZES, 3)
    found: dict[tuple[str, int], tuple[Row, Row]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        experiment = LargeExperiment(Path(temporary) / "large")
        out = ["--out", str(Path(temporary) / "report.html")]
        for size in sizes:
            experiment.grow(size)
            os.sync()  # or writing it to the disk would slow the first command
            for name, options in (("trials", []), ("report", out)):
                command = ["-m", "analysis", name, str(experiment.folder), *options]
                found[name, size] = both(command, ["-c", IMPORTS[name]], repeats)
    table = []
    for name, target in TARGETS.items():
        for size in sizes:
            table += [replace(row, what=f"{name}, {size:,} trials") for row in found[name, size]]
        for less, more in pairwise(sizes):
            for few, many in zip(found[name, less], found[name, more], strict=True):
                values = {f"at {more:,}": many.values["ours"], f"at {less:,}": few.values["ours"]}
                table.append(Row(f"{name}, {more:,} against {less:,} trials", few.unit, values, *values))
        if not quick:
            seconds = found[name, sizes[-1]][0].values["ours"]
            values = {"ours": seconds, "target": [target] * len(seconds)}
            table.append(Row(f"{name}, {sizes[-1]:,} trials against the target", "s", values, *values))
    return table
