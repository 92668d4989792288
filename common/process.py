"""A process, told from a later one of the same number."""

import os
import platform
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psutil


def process_mark() -> dict[str, Any]:
    """This process, so that it can be told from a later one of the same number."""
    import psutil

    return {"pid": os.getpid(), "started": psutil.Process().create_time(), "host": platform.node()}


def process_lives(mark: Mapping[str, Any]) -> bool:
    """Whether that process still runs; one on another machine is taken to."""
    import psutil

    if mark["host"] != platform.node():
        return True
    try:
        process = psutil.Process(mark["pid"])
        return abs(process.create_time() - mark["started"]) < 1 and lives(process)
    except psutil.NoSuchProcess:
        return False


def lives(process: "psutil.Process") -> bool:
    """Whether it still runs: an ended one whose parent hasn't asked for its exit code does not."""
    import psutil

    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
