"""This machine and this copy of the project."""

import os
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
EXPERIMENTS = PROJECT / "out" / "experiments"


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
