"""This machine and this copy of the project."""

import os
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
EXPERIMENTS = PROJECT / "out" / "experiments"


def shipped(folder: str, pattern: str) -> list[Path]:
    """The files of a folder of the project, sorted; links, which keep earlier names alive, are left out."""
    return sorted(path for path in (PROJECT / folder).glob(pattern) if not path.is_symlink())


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
