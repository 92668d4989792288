"""The client of the warm server: a trial that NNI has started hands itself over to it.

Importing torch and timm takes seconds, longer than some trials train. So `python -m trial`, started by NNI,
sends its arguments, environment, working directory and output files to the experiment's warm server
(trial/warm/server.py), which forks a process that runs the trial. This process, the one that NNI watches,
remains: it forwards SIGTERM and exits with the trial's exit code; if it is killed, the trial stops.
FACE_MASK_WARM=0 switches the server off.

Messages, each one packet: the client sends the request, the trial answers READY, the client sends GO, the
server sends the exit code. The trial does nothing before GO, so that a client that gets no READY can safely
run the trial itself.
"""

import contextlib
import hashlib
import json
import logging
import os
import signal
import socket
import struct
import subprocess
import sys
from functools import partial
from typing import TYPE_CHECKING

from common.machine import PROJECT
from trial import advisor

if TYPE_CHECKING:
    import psutil

logger = logging.getLogger(__name__)
SWITCH = "FACE_MASK_WARM"  # environment variable

READY, GO, STOP = b"ready", b"go", b"stop"
MAX_BYTES = 2**20  # of a packet
START_SECONDS = 300  # how long to wait for the server: a cold disk or a busy machine makes imports slow


def hand_over(arguments: list[str]) -> int | None:
    """Have the warm server run the trial and return its exit code; None if this process must run it."""
    if sys.platform != "linux" or os.environ.get(SWITCH) == "0" or not advisor.in_experiment():
        return None
    manager = advisor.manager()
    if manager is None:  # it runs on another machine
        return None
    try:
        connection = _start(arguments, manager)
    except OSError as error:
        logger.warning(f"no warm server ({error}): this trial starts by itself")
        return None
    return _exit_code(connection)


def address(manager: int) -> str:
    """The address of the server for NNI's manager with this process id and this copy of the project.

    In Linux's abstract namespace: it is not a file, and is free again once the server has ended, in any way.
    """
    key = f"{os.getuid()} {manager} {os.readlink('/proc/self/ns/pid')} {PROJECT}"
    return "\0face-mask-" + hashlib.sha256(key.encode()).hexdigest()[:32]


def same_user(connection: socket.socket) -> bool:
    """Whether the process at the other end is this user's: abstract addresses are open to all users."""
    size = struct.calcsize("3i")
    _, user, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return user == os.getuid()


def _start(arguments: list[str], manager: "psutil.Process") -> socket.socket:
    """A connection through which a trial was started; OSError if there is none."""
    environ = {**os.environ, advisor.MANAGER: str(manager.pid)}
    request = json.dumps({"arguments": arguments, "environ": environ, "folder": os.getcwd()}).encode()
    answer = b""
    for _ in range(2):  # a server that has imported other code closes, and a new one starts
        connection = _connect(manager)
        with contextlib.suppress(ConnectionError):
            socket.send_fds(connection, [request], [1, 2])
            answer = connection.recv(len(READY))
        if answer == READY:
            _send_go(connection)
            return connection
        connection.close()
    raise ConnectionError("it ended before the trial began")


def _send_go(connection: socket.socket) -> None:
    """Start the trial and forward SIGTERM to it from now on.

    SIGTERM is blocked meanwhile: a STOP before GO would end the forked process, and the error that follows
    would make this process run the trial itself, with SIGTERM ignored.
    """
    previous = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        connection.settimeout(None)
        connection.send(GO)
        signal.signal(signal.SIGTERM, partial(_stop, connection))
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, previous)


def _connect(manager: "psutil.Process") -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.settimeout(START_SECONDS)
    try:
        connection.connect(address(manager.pid))
    except ConnectionRefusedError:
        # Returns once the address is taken, by this server or by one that another trial has just started.
        command = [sys.executable, "-m", "trial.warm.server", str(manager.pid)]
        if subprocess.run(command, cwd=PROJECT, stdin=subprocess.DEVNULL, start_new_session=True).returncode:
            raise ConnectionError("it didn't start") from None  # its own message says why
        connection.connect(address(manager.pid))
    if not same_user(connection):
        raise PermissionError("its address is taken by another user")
    return connection


def _stop(connection: socket.socket, *_: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the trial reads one STOP only
    with contextlib.suppress(OSError):
        connection.send(STOP)


def _exit_code(connection: socket.socket) -> int:
    """Wait for the trial's end and return its exit code."""
    try:
        packet = connection.recv(16)
    except ConnectionResetError:  # it ended just before our STOP; its exit code can still be read
        packet = connection.recv(16)
    if packet:
        return int(packet)
    # The server was killed and its trial ended without it: the run folder says how.
    from trial.process.signals import STOPPED
    from trial.run_folder.record import RunFolder
    from trial.run_folder.status import INTERRUPTED

    status = RunFolder(advisor.trial_folder()).status()
    code = {"done": 0, INTERRUPTED: STOPPED}.get(status["state"], 1)
    if code == 1:
        logger.error(f"failed: {status['reason']} (its warm server is gone)")
    return code
