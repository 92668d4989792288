"""NNI as a trial uses it: ask for the tuner's values, report scores. The only file here that imports nni."""

import contextlib
import logging
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.errors import UsageError

if TYPE_CHECKING:
    import psutil

logger = logging.getLogger(__name__)
PARENT = "parent"  # key beside the tuner's values: the id of the trial that this one goes on from
# Environment variables: set by a manager that was started with this project's preload; the manager's process
# id, for trials that are not its descendants (trial/warm/client.py); on other machines, how many trials run
# at once.
PRELOADED = "FACE_MASK_NNI_PRELOAD"
MANAGER = "FACE_MASK_NNI_MANAGER"
CONCURRENCY = "FACE_MASK_CONCURRENCY"


def in_experiment() -> bool:
    """Whether NNI started this process as a trial."""
    return "NNI_TRIAL_JOB_ID" in os.environ and os.environ.get("NNI_PLATFORM") not in (None, "unittest")


def trial_folder() -> Path:
    """NNI's folder of this trial, which is also its run folder."""
    return Path(os.environ["NNI_OUTPUT_DIR"])


def manager() -> "psutil.Process | None":
    """NNI's manager, which started this trial; None if it runs on another machine."""
    import psutil

    if MANAGER in os.environ:
        return psutil.Process(int(os.environ[MANAGER]))
    for process in psutil.Process().parents():
        with contextlib.suppress(psutil.Error):  # of another user, or ended since: not NNI's
            if any("nni_node" in word for word in process.cmdline()):
                return process
    return None


def concurrency() -> int:
    """How many trials of this experiment share the machine's cores: its trialConcurrency at its start.

    A number that was changed on NNI's page later is ignored: it would change the threads of later trials, and
    so their scores. On another machine what machines.yaml says of it. 1 if NNI's database can't be read.
    """
    try:
        if CONCURRENCY in os.environ:
            return max(1, int(os.environ[CONCURRENCY]))
        return max(1, int(_at_start()["trialConcurrency"]))
    except (UsageError, TypeError, ValueError, KeyError):
        return 1


def on_one_gpu() -> int:
    """How many trials of this experiment may share a GPU. If trialGpuNumber is set, NNI puts at most
    maxTrialNumberPerGpu trials (1 by default) on each GPU; else all trials use the first GPU. On another
    machine NNI's choice is not known: all trials there count."""
    try:
        config = _at_start() if CONCURRENCY not in os.environ else {}
        service = config.get("trainingService") or {}
        if service.get("trialGpuNumber") or config.get("trialGpuNumber"):
            return max(1, int(service.get("maxTrialNumberPerGpu") or 1))
    except (UsageError, TypeError, ValueError, KeyError, AttributeError):
        pass
    return concurrency()


def _at_start() -> dict[str, Any]:
    """The experiment's configuration at its start."""
    from common.nni_database import profile

    return profile(trial_folder().parent.parent, first=True)


def ask() -> dict[str, Any]:
    """The tuner's values for this trial. Warns if NNI's manager runs without this project's preload."""
    import nni

    if PRELOADED not in os.environ:
        logger.warning(
            "WARNING: NNI's manager was started without this project's preload: its page may be open to the "
            "network and trials start seconds late. Run `make env` and start it with .venv/bin/nnictl."
        )
    return dict(nni.get_next_parameter() or {})


def reported() -> int:
    """How many epochs an earlier process of this trial, which NNI has started again, has reported.

    NNI reads this file from its beginning again: they are not to be reported another time.
    """
    sent = _sent()
    return len(re.findall(rb'"type":\s*"PERIODICAL"', sent))


def has_reported_final() -> bool:
    """Whether an earlier process of this trial has reported its result."""
    return bool(re.search(rb'"type":\s*"FINAL"', _sent()))


def metrics_file() -> Path:
    """The file through which this trial's reports reach NNI."""
    return Path(os.environ["NNI_SYS_DIR"], ".nni", "metrics")


def _sent() -> bytes:
    try:
        return metrics_file().read_bytes()
    except (KeyError, OSError):  # on another machine reports are printed
        return b""


def go_on_after(epochs: int) -> None:
    """Let the next report be that of the epoch after `epochs`."""
    from nni.trial import overwrite_intermediate_seq

    overwrite_intermediate_seq(epochs)


def report(score: float, accuracy: float, validation_loss: float) -> None:
    """Report an epoch. Tuner, assessor and the first chart of NNI's page use `default`, the score by the
    trial's metric."""
    import nni

    nni.report_intermediate_result(
        {"default": score, "accuracy": accuracy, "validation_loss": validation_loss}
    )


def report_final(score: float) -> None:
    """Report the result of the trial: the best epoch's score."""
    import nni

    nni.report_final_result(score)
