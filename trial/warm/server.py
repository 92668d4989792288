"""The warm server of one experiment: it has imported what trials need, and forks one for each that asks.

Started by the first trial (trial/warm/client.py) with NNI's manager's process id; ends when that manager is gone,
or when the code that it has imported was changed. It computes nothing and never looks for a GPU: threads of
a computation and CUDA's state don't outlive a fork.
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
from common.process import lives
from trial.catalogue import networks, steps
from trial.warm.client import address
from trial.warm.request import Request, become, receive

LOOK_SECONDS = 1  # for the manager
# All that a trial imports, but for nni itself, which reads its trial's environment as it is imported.
MODULES = (
    "trial.command", "trial.run", "timm", "albumentations", "pyarrow.parquet", "safetensors.torch",
)  # fmt: skip


def take_name(manager: int) -> socket.socket | None:
    """Listens under the server's name, detached from the trial that started it; None where it is taken."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        listener.bind(address(manager))
    except OSError:
        return None
    listener.listen(128)
    if os.fork():  # whoever started this one waits for it, and can connect now
        os._exit(0)
    return listener


def import_all() -> None:
    # pyarrow would start a thread, which doesn't outlive a fork.
    os.environ.setdefault("JE_ARROW_MALLOC_CONF", "background_thread:false")
    for module in MODULES:
        importlib.import_module(module)
    networks(), steps()


CodeMark = dict[str, tuple[int, int] | None]


def code_mark() -> CodeMark:
    """What differs once a source file or a catalogue was changed, added or removed."""
    files = (path for room in ("common", "dataset", "trial") for path in (PROJECT / room).rglob("*"))
    return {str(path): file_mark(path) for path in files if path.suffix in (".py", ".json")}


def serve(listener: socket.socket, manager: psutil.Process, mark: CodeMark) -> Request | None:
    """Returns in each process forked for a trial, with what was asked; None in the server, at its end."""
    trials: dict[int, tuple[int, socket.socket]] = {}  # by pidfd, which can be waited for: process id, caller
    while listener.fileno() >= 0 or trials:
        for ready in wait([*trials, *([listener] if listener.fileno() >= 0 else [])], LOOK_SECONDS):
            if isinstance(ready, int):
                _report(*trials.pop(ready))
                os.close(ready)
                continue
            request = _next(listener, mark)
            if request is None:
                continue
            try:
                child = os.fork()
                if child:
                    trials[_pidfd(child)] = child, request.caller
            except OSError:  # no memory or file left
                request.caller.close()
                request.close_output()
                continue
            if child == 0:
                for one in (listener, *(connection for _, connection in trials.values())):
                    one.close()
                for pidfd in trials:
                    os.close(pidfd)
                return request
            request.close_output()
        if not lives(manager):
            listener.close()
    return None


def _pidfd(child: int) -> int:
    """What tells when this process ends; without one nobody would hear of it, so it is ended."""
    try:
        return os.pidfd_open(child)
    except OSError:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        raise


def _next(listener: socket.socket, mark: CodeMark) -> Request | None:
    """What the next caller asks for; None where it is turned away. A server that is of no more use closes
    the listener first: the caller starts a new one under this name."""
    try:
        caller, _ = listener.accept()
    except OSError:  # no file left
        listener.close()
        return None
    try:
        if code_mark() == mark:
            return receive(caller)
        listener.close()
    except (OSError, ValueError, TypeError):  # it has given up, is another user's, or there is no file left
        pass
    caller.close()
    return None


def _report(trial: int, caller: socket.socket) -> None:
    """Tell the one who asked for this trial how it ended; a killed one as a shell tells it."""
    code = os.waitstatus_to_exitcode(os.waitpid(trial, 0)[1])
    with contextlib.suppress(OSError), caller:
        caller.send(b"%d" % (code if code >= 0 else 128 - code))


def main(manager: int) -> None:
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError) as error:
        raise SystemExit(f"a warm server needs pidfd_open, of Linux 5.3: {error}") from None
    listener = take_name(manager)
    if listener is None:
        return
    mark = code_mark()
    import_all()
    # Not the first trial's output any longer: who reads it waits for its end.
    with open(os.devnull, "w") as nothing:
        os.dup2(nothing.fileno(), 1)
        os.dup2(nothing.fileno(), 2)
    gc.freeze()  # what is imported stays: no trial goes through it again
    request = serve(listener, psutil.Process(manager), mark)
    if request is not None:
        become(request)
        from trial.command import run_command

        run_command(request.arguments)


if __name__ == "__main__":
    main(int(sys.argv[1]))
