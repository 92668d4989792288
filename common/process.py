"""Identify a process across restarts: its id may be given to another process later."""

import ctypes
import os
import platform
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psutil


def process_mark() -> dict[str, Any]:
    """The identity of this process as plain JSON: process id, start time and host."""
    import psutil

    return {"pid": os.getpid(), "started": psutil.Process().create_time(), "host": platform.node()}


def is_mark(value: Any) -> bool:
    """Whether a value is what `process_mark` gives."""
    kinds = {"pid": int, "started": int | float, "host": str}
    return isinstance(value, Mapping) and all(isinstance(value.get(key), kind) for key, kind in kinds.items())


def process_lives(mark: Mapping[str, Any]) -> bool:
    """Whether the process of `process_mark` still runs; True if it is on another machine."""
    import psutil

    if mark["host"] != platform.node():
        return True
    try:
        process = psutil.Process(mark["pid"])
        return abs(process.create_time() - mark["started"]) < 1 and lives(process)
    except (psutil.NoSuchProcess, ValueError, OverflowError):  # no process has such an id
        return False


def memory_kills() -> int:
    """How many processes of this machine Linux has killed for want of memory since it started, those at a
    container's limit too; 0 elsewhere."""
    with suppress(OSError):
        for line in Path("/proc/vmstat").read_text().splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0


def as_exit_code(code: int) -> int:
    """A process's return code as shells say it: 128 + signal if a signal ended it, which Python has as
    -signal."""
    return code if code >= 0 else 128 - code


def end_with_parent() -> None:
    """Send this process SIGTERM when its parent ends, however that ends. On Linux; elsewhere nothing."""
    if sys.platform == "linux":
        set_death_signal = 1  # PR_SET_PDEATHSIG
        ctypes.CDLL(None).prctl(set_death_signal, signal.SIGTERM)


def lives(process: "psutil.Process") -> bool:
    """Whether a process still runs. A zombie, which has ended but was not waited for, does not."""
    import psutil

    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
