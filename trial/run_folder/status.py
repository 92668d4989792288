"""status.json of a run folder: how far the run is, its score, and how it ended."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.errors import UsageError, failure_words, gone_words
from common.files import NONE, NUMBER, Kinds, read_object, write_json
from common.process import is_mark, memory_kills, process_lives, process_mark
from common.text import now
from trial.metrics import DEFAULT, METRICS

STATUS = "status.json"
KINDS: dict[str, Kinds] = {
    "started": (str,), "ended": (str, NONE), "process": (dict,), "epochs": (int,), "seconds": NUMBER,
    "best_epoch": (int, NONE), "macro_f1": (*NUMBER, NONE), "metric": (str,), "score": (*NUMBER, NONE),
    "parent": (str,), "batch_parts": (int,), "device_bytes": (int,), "memory_kills": (int,),
}  # fmt: skip
COUNTS = ("epochs", "seconds", "best_epoch")
INTERRUPTED = "interrupted"  # a state: ended by a signal or by a person, and may go on
STATES = ("running", "done", "stopped_early", INTERRUPTED, "failed")  # stopped_early: of earlier versions
DAMAGED = "damaged"  # a state: what its files say can't be used


def begun(metric: str) -> dict[str, Any]:
    """Of a run that this process begins, whose score is by `metric`."""
    return {
        "state": "running", "reason": "", "started": now(), "ended": None, "process": process_mark(),
        "epochs": 0, "seconds": 0.0, "best_epoch": None, "macro_f1": None, "metric": metric, "score": None,
        "memory_kills": memory_kills(),
    }  # fmt: skip


def ended(state: str, reason: str) -> dict[str, str]:
    """What changes when a run ends."""
    return {"state": state, "reason": reason, "ended": now()}


def read_status(folder: Path) -> dict[str, Any]:
    """status.json; the state is 'failed' if it says 'running' and the process is gone, 'damaged' if it
    can't be read.

    `score` is that of the best epoch by `metric`; runs of versions that did not record these were trained
    for macro_f1.
    """
    path = folder / STATUS
    try:
        status = read_object(path, {"state": (str,), "reason": (str,)}, KINDS)
        if wrong := _wrong_status(status):
            raise UsageError(f"{path}: is damaged ({wrong})")
    except FileNotFoundError:
        return {"state": "failed", "reason": "no status.json: the trial ended before it could write one"}
    except UsageError as error:
        return {"state": DAMAGED, "reason": str(error)}
    if status.get("metric") not in METRICS:
        status |= {"metric": DEFAULT, "score": status.get("macro_f1")}
    if status["state"] == "running" and not process_lives(status["process"]):
        return status | {"state": "failed", "reason": _gone_words(status)}
    return status


def note_gone(folder: Path, reason: str) -> None:
    """Record a run as interrupted if its status still says that it is running. For a process of another
    machine that is known to have ended: a reader here can't see that."""
    status = read_status(folder)
    if status["state"] == "running":
        write_json(folder / STATUS, status | ended(INTERRUPTED, reason))


def note_failed(folder: Path, reason: str) -> None:
    """Record why a run did not begin, or did not go on. What an earlier attempt in the folder has left stays:
    it is done, or may go on from its checkpoint once the reason is gone."""
    before = read_status(folder)
    if before["state"] == "done":
        return
    folder.mkdir(parents=True, exist_ok=True)
    status = before if "started" in before else begun(DEFAULT)
    write_json(folder / STATUS, status | ended("failed", reason))


def how_it_ended(error: BaseException) -> tuple[str, str]:
    """(State, reason) of a run that this error ended."""
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED, "by Ctrl-C"
    if gone := gone_words(error):
        return INTERRUPTED, gone
    if isinstance(error, UsageError):
        return "failed", str(error)
    return "failed", failure_words(error) or f"{type(error).__name__}: {error}"


def _gone_words(status: Mapping[str, Any]) -> str:
    """Why a run whose process is gone did not end: by the number of processes that Linux has killed."""
    killed = memory_kills() - status.get("memory_kills", math.inf)
    if killed <= 0:  # or the machine was started again
        return "its process was killed or crashed; its files may be incomplete"
    return (
        f"its process was killed, for want of memory perhaps: the system has killed {killed} for that since "
        "it began; use a smaller batch_size, fewer workers or fewer trials at a time"
    )


def _wrong_status(status: Mapping[str, Any]) -> str:
    """What can't be in a status.json whose values are of the right types; '' if nothing."""
    if status["state"] not in STATES:
        return f"its state is {status['state'][:40]!r}"
    if status["state"] == "running" and not is_mark(status.get("process")):
        return "its process is unknown"
    scored = status.get("best_epoch") is not None
    if scored and (status.get("macro_f1") is None or "epochs" not in status):
        return "it has a best epoch without a score"
    if scored and not 0 <= status["macro_f1"] <= 1:
        return f"its macro_f1 is {status['macro_f1']}"
    if scored and status.get("metric") in METRICS and status.get("score") is None:
        return "it has no score"
    return next((f"its {name} is {n}" for name in COUNTS if (n := status.get(name) or 0) < 0), "")
