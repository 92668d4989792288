"""Python commands in processes of their own, without the seconds of CPU time that each would need for its imports: a
server has imported torch and what trials and the analysis need, and forks them. One server for each worker of pytest.

A command has its own process id, environment, working directory, output, signals and exit code. What a test says on
imports or on Python's start needs a new interpreter instead (subprocess).
"""

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from multiprocessing.connection import wait
from pathlib import Path
from typing import IO

PROJECT = Path(__file__).resolve().parents[1]
MODULES = ("analysis.pipeline", "analysis.report.experiment", "dataset.check", "experiments.run")
MAX_BYTES = 2**17  # of a request: words and environment


class Forked:
    """A running `python WORDS`, with subprocess.Popen's methods; WORDS begin with -m MODULE or -c CODE. What it prints
    goes to the files that are given, else `communicate` returns it."""

    def __init__(
        self, *words: object, cwd: Path = PROJECT, env: Mapping[str, str] | None = None,
        stdout: IO | None = None, stderr: IO | None = None,
    ):  # fmt: skip
        self.args = [str(word) for word in words]
        self._kept = [None if given else _temporary() for given in (stdout, stderr)]
        ours, theirs = os.pipe()
        files = [(given or kept).fileno() for given, kept in zip((stdout, stderr), self._kept, strict=True)]
        environ = {name: str(value) for name, value in (os.environ if env is None else env).items()}
        request = json.dumps({"words": self.args, "cwd": str(cwd), "environ": environ}).encode()
        socket.send_fds(_server(), [request], [*files, theirs])
        os.close(theirs)
        self._end = os.fdopen(ours)
        self.pid = int(self._end.readline())
        self.returncode: int | None = None

    def poll(self) -> int | None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, negative if a signal ended it; subprocess.TimeoutExpired after `timeout` seconds."""
        if self.returncode is None:
            if not wait([self._end], timeout):
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            self.returncode = int(self._end.readline())
            self._end.close()
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        self.wait(timeout)
        return self._text(0), self._text(1)

    def _text(self, number: int) -> str:
        file = self._kept[number]
        if file is None:
            return ""
        file.seek(0)
        return file.read()

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def run(*words: object, timeout: float = 120, **more) -> subprocess.CompletedProcess[str]:
    """What subprocess.run returns for `python WORDS`, with its output; see `Forked`."""
    process = Forked(*words, **more)
    try:
        stdout, stderr = process.communicate(timeout)
    finally:
        process.kill()
    return subprocess.CompletedProcess(process.args, process.wait(), stdout, stderr)


def _temporary() -> IO:
    return tempfile.TemporaryFile("w+", errors="replace")


@functools.cache
def _server() -> socket.socket:
    """The connection to this process's server, which ends with it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    process = subprocess.Popen([sys.executable, "-m", "tests.forked"], cwd=PROJECT, stdin=theirs)
    theirs.close()
    atexit.register(process.wait)
    atexit.register(ours.close)
    return ours


def serve(requests: socket.socket) -> dict:
    """Fork a process for each request, report how it ends; returns the request in that process, nothing otherwise."""
    running: dict[int, tuple[int, int]] = {}  # {pidfd: (process id, file for its end)}
    while True:
        for ready in wait([requests, *running]):
            if isinstance(ready, int):
                child, end = running.pop(ready)
                code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
                with contextlib.suppress(BrokenPipeError):  # nobody waits for it
                    os.write(end, f"{code}\n".encode())
                os.close(end)
                os.close(ready)
                continue
            packet, files, _, _ = socket.recv_fds(requests, MAX_BYTES, 3)
            if not packet:
                for child, _ in running.values():  # of tests that failed
                    os.kill(child, signal.SIGKILL)
                sys.exit()
            child = os.fork()
            if child == 0:
                for one in running:
                    os.close(one)
                for _, end in running.values():
                    os.close(end)
                requests.close()
                os.close(files[2])
                for standard, file in enumerate(files[:2], start=1):
                    os.dup2(file, standard)
                    os.close(file)
                return json.loads(packet)
            os.write(files[2], f"{child}\n".encode())
            running[os.pidfd_open(child)] = child, files[2]
            os.close(files[0])
            os.close(files[1])


def become(words: list[str], cwd: str, environ: dict[str, str]) -> None:
    """Run in this process what `python WORDS` runs."""
    import numpy

    os.environ.clear()
    os.environ.update(environ)
    os.chdir(cwd)
    for place in reversed(environ.get("PYTHONPATH", "").split(os.pathsep)):
        if place and place not in sys.path:
            sys.path.insert(0, place)
    numpy.random.seed()
    flag, what, *arguments = words
    sys.argv = [what if flag == "-m" else flag, *arguments]
    if flag == "-m":
        runpy.run_module(what, run_name="__main__", alter_sys=True)
    else:
        exec(compile(what, "<string>", "exec"), {"__name__": "__main__"})


def main() -> None:
    from trial.warm.server import import_all

    requests = socket.socket(fileno=os.dup(0))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    import_all()
    for module in MODULES:
        importlib.import_module(module)
    threads = len(os.listdir("/proc/self/task"))
    assert threads == 1, f"{threads} threads, which would not survive a fork"
    gc.freeze()
    become(**serve(requests))


if __name__ == "__main__":
    main()
