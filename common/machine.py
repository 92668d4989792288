"""Paths of this copy of the project, and the cores of this machine."""

import os
import platform
import subprocess
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
EXPERIMENTS = PROJECT / "out" / "experiments"


def shipped(folder: str, pattern: str) -> list[Path]:
    """The project's own files in one of its folders, sorted: those that git tracks; without git, all files.

    Links, which keep earlier names alive, are left out.
    """
    return tracked(folder, pattern) or _files(folder, pattern)


def tracked(folder: str, pattern: str) -> list[Path]:
    """As `shipped`, but [] without git: a person's own files can't be told from the project's then."""
    names = _tracked_names(PROJECT / folder)
    return [path for path in _files(folder, pattern) if path.name in names]


def _files(folder: str, pattern: str) -> list[Path]:
    return sorted(path for path in (PROJECT / folder).glob(pattern) if not path.is_symlink())


def _tracked_names(folder: Path) -> set[str]:
    """The names of files in `folder` that git tracks; empty if there is no git or no checkout."""
    try:
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=folder, capture_output=True, text=True)
    except OSError:
        return set()
    return set(filter(None, listed.stdout.split("\0")))


def cores() -> int:
    """Number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor() -> str:
    """The model of this machine's processor."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
