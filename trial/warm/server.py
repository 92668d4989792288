"""The warm server of an experiment: it has imported what trials need, and forks a process for each trial.

    python -m trial.warm.server MANAGER

The first trial starts it (trial/warm/client.py) with the process id of NNI's manager. It ends when that
manager has ended, or at a request after its code has changed. It computes nothing and does not initialise
CUDA: neither threads nor CUDA's state survive a fork.
"""

import contextlib
import gc
import importlib
import os
import signal
import socket
import sys
from multiprocessing.connection import wait

import psutil

from common.files import file_mark
from common.machine import PROJECT
from common.process import as_exit_code, lives
from trial.catalogue import networks, steps
from trial.warm.client import address
from trial.warm.request import Request, become, receive

CHECK_SECONDS = 1  # between two checks whether the manager still runs
# What a trial imports, except nni, which reads the trial's environment when imported.
MODULES = (
    "trial.commands.train", "trial.run", "timm", "albumentations", "pyarrow.parquet", "safetensors.torch",
)  # fmt: skip


def listen(manager: int) -> socket.socket | None:
    """Listen at the server's address, detached from the trial that started it; None if that is taken."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        listener.bind(address(manager))
    except OSError:
        return None
    listener.listen(128)
    if os.fork():  # the trial waits for this process to end, and can connect now
        os._exit(0)
    return listener


def import_all() -> None:
    """Import what a trial imports and read the catalogues, without starting a thread."""
    # pyarrow would start a thread, which doesn't survive a fork.
    os.environ.setdefault("JE_ARROW_MALLOC_CONF", "background_thread:false")
    for module in MODULES:
        importlib.import_module(module)
    networks()
    steps()


CodeMark = dict[str, tuple[int, int] | None]


def code_mark() -> CodeMark:
    """The marks of all source files and catalogues: they differ once one was changed, added or removed."""
    files = (path for room in ("common", "dataset", "trial") for path in (PROJECT / room).rglob("*"))
    return {str(path): file_mark(path) for path in files if path.suffix in (".py", ".json")}


def serve(listener: socket.socket, manager: psutil.Process, mark: CodeMark) -> Request | None:
    """Answer requests: return the request in each process that was forked for a trial, None in the server
    when it ends."""
    trials: dict[int, tuple[int, socket.socket]] = {}  # {pidfd, to wait for: (process id, client)}
    while listener.fileno() >= 0 or trials:
        for ready in wait([*trials, *([listener] if listener.fileno() >= 0 else [])], CHECK_SECONDS):
            if isinstance(ready, int):
                _report(*trials.pop(ready))
                os.close(ready)
                continue
            request = _accept(listener, mark)
            if request is None:
                continue
            try:
                child = os.fork()
                if child:
                    trials[_pidfd(child)] = child, request.client
            except OSError:  # out of memory or file descriptors
                request.client.close()
                request.close_output()
                continue
            if child == 0:
                for connection in (listener, *(client for _, client in trials.values())):
                    connection.close()
                for pidfd in trials:
                    os.close(pidfd)
                return request
            request.close_output()
        if not lives(manager):
            listener.close()
    return None


def _pidfd(child: int) -> int:
    """A descriptor that becomes readable when the process `child` ends. If there is none it is killed, since
    its end could not be noticed."""
    try:
        return os.pidfd_open(child)
    except OSError:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        raise


def _accept(listener: socket.socket, mark: CodeMark) -> Request | None:
    """The request of the next client; None if it is refused.

    A server whose code has changed closes `listener` first: the client then starts a new one at this address.
    """
    try:
        client, _ = listener.accept()
    except OSError:  # out of file descriptors
        listener.close()
        return None
    try:
        if code_mark() == mark:
            return receive(client)
        listener.close()
    except (OSError, ValueError, TypeError):  # it has given up, or is another user's, or is malformed
        pass
    client.close()
    return None


def _report(trial: int, client: socket.socket) -> None:
    """Send the exit code of the process `trial` to its client; 128 + signal if a signal killed it."""
    code = os.waitstatus_to_exitcode(os.waitpid(trial, 0)[1])
    with contextlib.suppress(OSError), client:
        client.send(b"%d" % as_exit_code(code))


def main(manager: int) -> None:
    """Run the server for NNI's manager, whose process id is `manager`."""
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError) as error:
        raise SystemExit(f"a warm server needs pidfd_open, of Linux 5.3: {error}") from None
    listener = listen(manager)
    if listener is None:
        return
    mark = code_mark()
    import_all()
    # Close the first trial's output: its readers wait for its end.
    with open(os.devnull, "w") as nothing:
        os.dup2(nothing.fileno(), 1)
        os.dup2(nothing.fileno(), 2)
    gc.freeze()  # so that no trial's garbage collection goes through what is imported
    request = serve(listener, psutil.Process(manager), mark)
    if request is not None:
        become(request)
        from trial.commands.train import run_command

        run_command(request.arguments)


if __name__ == "__main__":
    main(int(sys.argv[1]))
