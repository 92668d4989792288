"""A client's request to the warm server, and how a process that was forked for it becomes the trial."""

import json
import os
import signal
import socket
import sys
import threading
import time
from dataclasses import dataclass

from trial.process.signals import STOPPED
from trial.warm.client import GO, MAX_BYTES, READY, STOP, same_user

STOP_SECONDS = 5  # the same as NNI waits


@dataclass(frozen=True)
class Request:
    """A request to run a trial: `client` is the connection, `output` the file descriptors of its stdout and
    stderr, `folder` its working directory."""

    client: socket.socket
    output: list[int]
    arguments: list[str]
    environ: dict[str, str]
    folder: str

    def close_output(self) -> None:
        """Close this process's copies of the client's stdout and stderr."""
        for file in self.output:
            os.close(file)


def receive(client: socket.socket) -> Request:
    """The request of a client that has just connected; OSError, ValueError or TypeError if it sends none."""
    if not same_user(client):
        raise PermissionError
    client.settimeout(STOP_SECONDS)
    packet, output, _, _ = socket.recv_fds(client, MAX_BYTES, 2)
    try:
        stdout, stderr = output
        return Request(client, [stdout, stderr], **json.loads(packet))
    except (ValueError, TypeError):
        for file in output:
            os.close(file)
        raise


def become(request: Request) -> None:
    """Turn this process into the trial of `request`, once its client has sent GO."""
    import numpy

    os.setsid()
    client = request.client
    client.settimeout(None)
    client.send(READY)
    if client.recv(len(GO)) != GO:
        os._exit(STOPPED)
    for standard, file in enumerate(request.output, start=1):
        os.dup2(file, standard)
    request.close_output()
    os.environ.clear()
    os.environ.update(request.environ)
    os.chdir(request.folder)
    sys.argv[1:] = request.arguments
    numpy.random.seed()  # else all trials would share the server's state; Python reseeds its own at a fork

    def wait_for_stop() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        client.recv(len(STOP))  # also returns when the client has ended
        os.kill(os.getpid(), signal.SIGTERM)  # as if from NNI: trial/process/signals.py handles it
        time.sleep(STOP_SECONDS)
        os._exit(STOPPED)

    threading.Thread(target=wait_for_stop, name="client", daemon=True).start()
