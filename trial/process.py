"""A process, told from a later one of the same number."""

import os
import platform
from collections.abc import Mapping
from typing import Any


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
        return abs(psutil.Process(mark["pid"]).create_time() - mark["started"]) < 1
    except psutil.NoSuchProcess:
        return False
