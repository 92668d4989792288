"""What a trial asks its warm server for, and how a process forked for it becomes that trial."""

import json
import os
import signal
import socket
import sys
import threading
import time
from dataclasses import dataclass

from trial.signals import STOPPED
from trial.warm.client import GO, MOST_BYTES, READY, STOP, same_user

STOP_SECONDS = 5  # as long as NNI waits, too


@dataclass(frozen=True)
class Request:
    """What a caller asks for: a trial with these arguments, environment and folder, writing to `output`
    (its stdout and stderr)."""

    caller: socket.socket
    output: list[int]
    arguments: list[str]
    environ: dict[str, str]
    folder: str

    def close_output(self) -> None:
        for end in self.output:
            os.close(end)


def receive(caller: socket.socket) -> Request:
    """The request of one that has just called; OSError, ValueError or TypeError where it makes none."""
    if not same_user(caller):
        raise PermissionError
    caller.settimeout(STOP_SECONDS)
    packet, output, _, _ = socket.recv_fds(caller, MOST_BYTES, 2)
    try:
        stdout, stderr = output
        return Request(caller, [stdout, stderr], **json.loads(packet))
    except (ValueError, TypeError):
        for end in output:
            os.close(end)
        raise


def become(request: Request) -> None:
    """This process is the trial from now on, once its caller has said so."""
    import numpy

    os.setsid()
    caller = request.caller
    caller.settimeout(None)
    caller.send(READY)
    if caller.recv(len(GO)) != GO:
        os._exit(STOPPED)
    for end, output in enumerate(request.output, start=1):
        os.dup2(output, end)
    request.close_output()
    os.environ.clear()
    os.environ.update(request.environ)
    os.chdir(request.folder)
    sys.argv[1:] = request.arguments
    numpy.random.seed()  # or all trials had the server's; Python's own is seeded anew at a fork

    def obey() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        caller.recv(len(STOP))  # or nothing, when the caller is gone
        os.kill(os.getpid(), signal.SIGTERM)  # as if NNI had sent it here: trial/signals.py hears it
        time.sleep(STOP_SECONDS)
        os._exit(STOPPED)

    threading.Thread(target=obey, name="caller", daemon=True).start()
