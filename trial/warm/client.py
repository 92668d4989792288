"""Trials of one experiment share the start cost: each hands itself to a server that has imported everything.

Importing torch and timm takes seconds, longer than some trials train. So `python -m trial`, started by NNI,
sends its arguments, environment, folder and output to the experiment's warm server (trial/warm/server.py),
which forks a process that is the trial. This one stays, for NNI to watch: it passes a SIGTERM on, ends with
the trial's exit code, and the trial ends when it is gone. FACE_MASK_WARM=0 switches it off.

They talk in packets. Here: the request; the trial: READY; here: GO; the server: the exit code. Until its GO
the trial does nothing, so a trial that has given up on the server can safely run by itself.
"""

import contextlib
import hashlib
import json
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

SWITCH = "FACE_MASK_WARM"

READY, GO, STOP = b"ready", b"go", b"stop"
MOST_BYTES = 2**20  # of a packet
START_SECONDS = 300  # a disk that has to be read first, or a busy machine, makes imports slow


def hand_over(arguments: list[str]) -> int | None:
    """The exit code of the trial, run warm; None where this process is to run it."""
    if sys.platform != "linux" or os.environ.get(SWITCH) == "0" or not advisor.in_experiment():
        return None
    manager = advisor.manager()
    if manager is None:  # on another machine
        return None
    try:
        connection = _begin(arguments, manager)
    except OSError as error:
        print(f"no warm server ({error}): this trial starts by itself", file=sys.stderr, flush=True)
        return None
    return _exit_code(connection)


def address(manager: int) -> str:
    """The server's name, one for each manager and copy of the project. An abstract one (Linux): it is no
    file, and is free again when the server is gone, however that ended."""
    who = f"{os.getuid()} {manager} {os.readlink('/proc/self/ns/pid')} {PROJECT}"
    return "\0face-mask-" + hashlib.sha256(who.encode()).hexdigest()[:32]


def same_user(connection: socket.socket) -> bool:
    """Whether the other end is this user's: anybody on this machine can take or call an abstract name."""
    size = struct.calcsize("3i")
    _, user, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return user == os.getuid()


def _begin(arguments: list[str], manager: "psutil.Process") -> socket.socket:
    """The connection to a trial that has begun; OSError where there is none to be had."""
    environ = {**os.environ, advisor.MANAGER: str(manager.pid)}
    request = json.dumps({"arguments": arguments, "environ": environ, "folder": os.getcwd()}).encode()
    answer = b""
    for _ in range(2):  # a server that was started with other code makes way for a new one
        connection = _connect(manager)
        with contextlib.suppress(ConnectionError):
            socket.send_fds(connection, [request], [1, 2])
            answer = connection.recv(len(READY))
        if answer == READY:
            _let_go(connection)
            return connection
        connection.close()
    raise ConnectionError("it ended before the trial began")


def _let_go(connection: socket.socket) -> None:
    """The trial runs from here on, and a SIGTERM is passed on to it. One that comes meanwhile waits: before
    the GO it would have this process run the trial itself, deaf to the next one."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        connection.settimeout(None)
        connection.send(GO)
        signal.signal(signal.SIGTERM, partial(_stop, connection))
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _connect(manager: "psutil.Process") -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.settimeout(START_SECONDS)
    try:
        connection.connect(address(manager.pid))
    except ConnectionRefusedError:
        # Returns when the name is taken, by this server or by one that another trial has just started.
        command = [sys.executable, "-m", "trial.warm.server", str(manager.pid)]
        if subprocess.run(command, cwd=PROJECT, stdin=subprocess.DEVNULL, start_new_session=True).returncode:
            raise ConnectionError("it didn't start") from None  # it has said why
        connection.connect(address(manager.pid))
    if not same_user(connection):
        raise PermissionError("its name is taken by another user")
    return connection


def _stop(connection: socket.socket, *_: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # one word is enough: the trial reads no second one
    with contextlib.suppress(OSError):
        connection.send(STOP)


def _exit_code(connection: socket.socket) -> int:
    try:
        word = connection.recv(16)
    except ConnectionResetError:  # it ended just before our STOP; its own word is still to be read
        word = connection.recv(16)
    if word:
        return int(word)
    # The server was killed, its trial went on to its end without it: the run folder says how that was.
    from trial.record import RunFolder
    from trial.signals import STOPPED

    status = RunFolder(advisor.trial_folder()).status()
    code = {"done": 0, "stopped_early": STOPPED}.get(status["state"], 1)
    if code == 1:
        print(f"failed: {status['reason']} (its warm server is gone)", file=sys.stderr, flush=True)
    return code
