"""A stop from outside (SIGTERM, or NNI's manager gone), heard at once, whatever the main thread computes.

A Python signal handler waits for the running torch call to return, which may take longer than the 5 s that
NNI gives. So SIGTERM is blocked everywhere and a thread waits for it.
"""

import atexit
import multiprocessing.util  # its own end of workers is registered now, so that ours comes first
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from common.process import lives

if TYPE_CHECKING:
    import psutil

STOPPED = 143  # 128 + SIGTERM, as shells say it
OUTSIDE = "stopped from outside (assessor, person or system)"  # NNI's database knows which


def on_stop(write: Callable[[str], None]) -> None:
    """From now on SIGTERM calls `write` with the reason, ends the loader's workers and this process.

    To be called before threads and workers are started: they inherit that SIGTERM waits. (A thread that
    doesn't would end the process without a word, and a worker that dies first would raise an error in the
    main thread, so that the run is told as failed.)
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    atexit.register(_end_workers)

    def wait() -> None:
        signal.sigwait({signal.SIGTERM})
        _end(write, OUTSIDE)

    threading.Thread(target=wait, name="stop", daemon=True).start()


def end_with(manager: "psutil.Process | None", write: Callable[[str], None]) -> None:
    """From now on the end of `manager` ends this process, too, after calling `write`.

    When NNI's manager is killed its trials live on; once resumed it starts them again in the same folders.
    """
    if manager is None:
        return

    def watch() -> None:
        while lives(manager):
            time.sleep(1)
        _end(write, "NNI's manager is gone")

    threading.Thread(target=watch, name="manager", daemon=True).start()


def _end_workers() -> None:
    """Ends the loader's workers that a mistake leaves: Python would send them SIGTERM, which they block, and
    wait for ever."""
    workers = multiprocessing.active_children()
    if workers:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # torch's handler raises where a worker is killed
    for worker in workers:
        worker.kill()


def _end(write: Callable[[str], None], why: str) -> None:
    try:
        write(why)
        for worker in multiprocessing.active_children():
            worker.kill()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(STOPPED)
