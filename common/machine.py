"""Paths of this copy of the project, and the cores of this machine."""

import os
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
EXPERIMENTS = PROJECT / "out" / "experiments"


def shipped(folder: str, pattern: str) -> list[Path]:
    """Files of a folder of the project, sorted. Links are left out: they only keep earlier names valid."""
    return sorted(path for path in (PROJECT / folder).glob(pattern) if not path.is_symlink())


def cores() -> int:
    """Number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
