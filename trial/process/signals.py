"""Stop at once on SIGTERM, or when NNI's manager has ended, whatever the main thread computes.

A Python signal handler runs only after the current torch call has returned, which may take longer than the
5 s that NNI waits. So SIGTERM is blocked in all threads, and one of them waits for it.
"""

import atexit
import multiprocessing.util  # registers its exit handler now, so that _end_workers runs before it
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

STOPPED = 143  # exit code: 128 + SIGTERM, as in shells
OUTSIDE = "stopped from outside (assessor, person or system)"  # NNI's database says which


def on_stop(write: Callable[[str], None]) -> None:
    """On SIGTERM, from now on: call `write` with the reason, end the loader's workers and this process.

    Call it before any thread or worker starts, since they inherit the blocked SIGTERM. An unblocked thread
    would end the process without `write`; an unblocked worker would end first and raise an error in the main
    thread, which marks the run as failed.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    atexit.register(_end_workers)

    def wait() -> None:
        signal.sigwait({signal.SIGTERM})
        _end(write, OUTSIDE)

    threading.Thread(target=wait, name="stop", daemon=True).start()


def end_with(manager: "psutil.Process | None", write: Callable[[str], None]) -> None:
    """When the process `manager` ends, from now on: call `write` with the reason and end this process.

    A killed manager of NNI leaves its trials running; once resumed it starts them again in the same folders.
    """
    if manager is None:
        return

    def watch() -> None:
        while lives(manager):
            time.sleep(1)
        _end(write, "NNI's manager is gone")

    threading.Thread(target=watch, name="manager", daemon=True).start()


def _end_workers() -> None:
    """Kill the loader's workers that an error left: Python would send them SIGTERM, which they block, and
    wait forever."""
    workers = multiprocessing.active_children()
    if workers:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # torch's handler raises if a worker is killed
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
