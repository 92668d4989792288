"""Try the tuner and the assessor of a plan on its search space, in a process of their own."""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.machine import PROJECT

SCRIPT = PROJECT / "tuners" / "rehearse.py"
OURS = "tuners.search."
TRIALS = 30  # beyond NNI's 20 random ones
SECONDS = 300  # on a busy machine its imports alone take minutes; what it does then has its own limit


@dataclass(frozen=True)
class Rehearsed:
    """`points`: the tuner's suggestions, in order; `errors`: what tuner and assessor raised; `warnings`: what
    the tuner warned of, a known good recipe that does not fit the search space, say."""

    points: list[dict[str, Any]]
    errors: list[str]
    warnings: tuple[str, ...] = ()


def rehearse(config: dict[str, Any], trials: int | None = None) -> Rehearsed:
    """Try the tuner and the assessor of `config`, a plan's `effective()`, for `trials` (at most TRIALS).

    In another process, which imports nni: a tuner may print, hang, or end the process.
    """
    order = {
        "tuner": config["tuner"],
        "assessor": config.get("assessor"),
        "space": config["searchSpace"],
        "trials": min(trials or TRIALS, TRIALS),
    }
    with tempfile.TemporaryDirectory(prefix="rehearsal-") as made:
        folder = Path(made)
        (folder / "order.json").write_text(json.dumps(order))
        command = [sys.executable, "-P", str(SCRIPT), "order.json", "answer.json"]
        places = {"NNI_CHECKPOINT_DIRECTORY": folder / "checkpoint", "NNI_LOG_DIRECTORY": folder / "log"}
        for place in places.values():
            place.mkdir()
        environ = os.environ | {name: str(place) for name, place in places.items()}
        try:
            done = subprocess.run(
                command, cwd=folder, env=environ, capture_output=True, text=True, timeout=SECONDS
            )
        except subprocess.TimeoutExpired:
            return Rehearsed([], [f"tuner: gave no suggestions within {SECONDS} s"])
        answer = folder / "answer.json"
        if not answer.is_file():
            last = done.stderr.strip().rpartition("\n")[2]
            return Rehearsed([], [f"tuner: ended the process that tried it (exit {done.returncode}) {last}"])
        found = json.loads(answer.read_text())
    # This project's assessors ask the tuner: if that is wrong, they have no mistakes of their own to report.
    asks = found["tuner"] and str((config.get("assessor") or {}).get("className")).startswith(OURS)
    errors = [f"{key}: {found[key]}" for key in ("tuner", "assessor") if found[key]]
    errors = errors[:1] if asks else errors
    points = [point for point in found["points"] if isinstance(point, dict)]
    if strange := [point for point in found["points"] if not isinstance(point, dict)]:
        errors.append(f"tuner: suggests {str(strange[0])[:60]!r}, not a mapping of fields to values")
    if not errors and not points:
        errors.append("tuner: suggests nothing in this search space")
    return Rehearsed(points, errors, tuple(found["warnings"]))
