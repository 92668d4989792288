"""The origin of a run: code, package versions, data and machine, so that it can be trusted later."""

import hashlib
import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.files import mark_of, sha256_of
from common.machine import PROJECT
from trial.learning.teachers import out_of_fold
from trial.process.compute import Compute
from trial.run_folder.record import VALIDATION

PACKAGES = (
    "torch",
    "torchvision",
    "timm",
    "albumentations",
    "scikit-learn",
    "safetensors",
    "numpy",
    "pandas",
    "opencv-python-headless",
    "facenet-pytorch",
    "nni",
)


def origin(data_fingerprint: str, seed: int, compute: Compute) -> dict[str, Any]:
    """The content of origin.json, in plain JSON values; NNI's ids are None without NNI."""
    return {
        "code": code(),
        "versions": versions(),
        "data_fingerprint": data_fingerprint,
        "seed": seed,
        "machine": {"host": platform.node(), "system": platform.platform(), "cores": os.cpu_count()},
        "compute": compute.to_json(),
        "experiment": os.environ.get("NNI_EXP_ID"),
        "trial": os.environ.get("NNI_TRIAL_JOB_ID"),
    }


def label_files(recipe: Mapping[str, Any]) -> dict[str, str]:
    """{field: SHA-256} of the files that change or add labels by a recipe (`TrialConfig.recipe`), which a
    data fingerprint does not cover; {teacher.runs=FOLDER: that of its predictions} of the teacher's runs."""
    named = {field: str(recipe.get(field) or "") for field in ("corrections", "pseudo_labels")}
    teacher = out_of_fold(runs=dict(recipe.get("teacher") or {}).get("runs", ""))
    named |= {f"teacher.runs={run}": str(Path(run, VALIDATION)) for run in teacher.runs}
    return {field: sha256_of(Path(path)) for field, path in named.items() if path and Path(path).is_file()}


def code(project: Path = PROJECT) -> dict[str, Any]:
    """{"commit", "changed", "changes"}: the commit ('unknown' outside git), whether the working tree differs
    from it, and a hash of the differences."""
    top, _, commit = (_git(project, "rev-parse", "--show-toplevel", "HEAD") or "").rstrip().rpartition("\n")
    if not commit or Path(top).resolve() != project.resolve():  # or another project's repository
        return {"commit": "unknown", "changed": None, "changes": None}
    diff = _git(project, "diff", "HEAD") or ""
    for name in (_git(project, "ls-files", "--others", "--exclude-standard", "-z") or "").split("\0"):
        if (project / name).is_file():
            diff += name + _mark(project / name)
    changes = hashlib.sha256(diff.encode()).hexdigest()[:16] if diff else None
    return {"commit": commit, "changed": bool(diff), "changes": changes}


def _mark(path: Path) -> str:
    """A hash of a file's content; of files over 1 MiB (photos, archives) its size and modification time."""
    size, time = mark_of(path.stat())
    if size > 2**20:
        return f"{size} {time}"
    return hashlib.sha256(path.read_bytes()).hexdigest()


def versions() -> dict[str, str]:
    """{package: version} of Python and PACKAGES; 'not installed' if there is none."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def _git(project: Path, *arguments: str) -> str | None:
    """The output of git in `project`, None if it fails."""
    try:
        ran = subprocess.run(["git", *arguments], cwd=project, capture_output=True, check=True)
        return ran.stdout.decode(errors="replace")
    except (OSError, subprocess.CalledProcessError):
        return None
