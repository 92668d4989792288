"""NNI, seen from a trial: ask for values, report scores. The only file here that imports nni."""

import contextlib
import json
import os
import sqlite3
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psutil

PRELOADED = "FACE_MASK_NNI_PRELOAD"
# Its process id, where the parents of a trial don't lead to it (trial/warm/client.py).
MANAGER = "FACE_MASK_NNI_MANAGER"


def in_experiment() -> bool:
    """Whether NNI started this process as a trial."""
    return "NNI_TRIAL_JOB_ID" in os.environ and os.environ.get("NNI_PLATFORM") not in (None, "unittest")


def trial_folder() -> Path:
    """NNI's folder of this trial, which is its run folder."""
    return Path(os.environ["NNI_OUTPUT_DIR"])


def manager() -> "psutil.Process | None":
    """NNI's manager, which started this trial; None where it isn't on this machine."""
    import psutil

    if MANAGER in os.environ:
        return psutil.Process(int(os.environ[MANAGER]))
    for process in psutil.Process().parents():
        with contextlib.suppress(psutil.Error):  # another user's, or gone since: not NNI's
            if any("nni_node" in word for word in process.cmdline()):
                return process
    return None


def concurrency() -> int:
    """How many trials of this experiment run at a time: they share the machine's cores. 1 where NNI's
    database can't say. As at its start: a number changed on NNI's page would change the threads of later
    trials, and so their scores."""
    experiment = trial_folder().parent.parent
    query = "select params from ExperimentProfile order by revision limit 1"
    try:
        database = sqlite3.connect(f"{(experiment / 'db' / 'nni.sqlite').as_uri()}?mode=ro", uri=True)
        with contextlib.closing(database):
            return max(1, int(json.loads(database.execute(query).fetchone()[0])["trialConcurrency"]))
    except (sqlite3.Error, TypeError, ValueError, KeyError):
        return 1


def ask() -> dict[str, Any]:
    """The tuner's values for this trial. Says loudly when its manager runs without our preload."""
    import nni

    if PRELOADED not in os.environ:
        print(
            "WARNING: NNI's manager was started without this project's preload: its page may be open to the "
            "network and trials start seconds late. Run `make env` and start it with .venv/bin/nnictl.",
            file=sys.stderr,
            flush=True,
        )
    return nni.get_next_parameter() or {}


def report(macro_f1: float, accuracy: float, validation_loss: float) -> None:
    """One epoch; `default` is what tuner, assessor and the page's first chart take."""
    import nni

    nni.report_intermediate_result(
        {"default": macro_f1, "accuracy": accuracy, "validation_loss": validation_loss}
    )


def report_final(macro_f1: float) -> None:
    """The best epoch's macro-F1."""
    import nni

    nni.report_final_result(macro_f1)
