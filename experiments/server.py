"""NNI's manager: start it by nnictl, ask for its status, stop it with everything that it started."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import psutil

from common.errors import UsageError
from common.text import path_text
from experiments.checks.ports import taken
from experiments.trouble import last_word

NNICTL = Path(sys.prefix) / "bin" / "nnictl"
NNICTL_SECONDS, TUNER_SECONDS = 120, 8
STOP_SECONDS = 60  # NNI's own limit: it ends its trials one after the other, up to 5 s each
# The page is on this machine, so a proxy is not asked.
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Server:
    id: str
    port: int
    folder: Path

    @property
    def page(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def view_command(self) -> str:
        """The command that opens the experiment in NNI's page again after it has stopped."""
        # It names the folder, because NNI's own list of experiments lies in the user's home.
        place = ["--port", str(self.port), "-e", path_text(self.folder.parent)]
        return shlex.join([path_text(NNICTL), "view", self.id, *place])

    def status(self) -> str:
        """NNI's status: INITIALIZED, RUNNING, NO_MORE_TRIAL, TUNER_NO_MORE_TRIAL, DONE, ERROR, ...

        If the manager does not answer: BUSY while its process lives, else GONE.
        """
        try:
            with DIRECT.open(f"{self.page}/api/v1/nni/check-status", timeout=10) as answer:
                return str(json.load(answer)["status"])
        except (OSError, ValueError, KeyError):
            return "BUSY" if self.processes() else "GONE"

    def processes(self) -> list[psutil.Process]:
        """The running processes of the experiment: the manager first, then its tuner and trials."""
        for manager in _managers():
            if self.id in manager.info["cmdline"]:
                try:
                    return [manager, *manager.children(recursive=True)]
                except psutil.NoSuchProcess:
                    return []
        return []

    def stop(self) -> None:
        """End manager, tuner and trials; what does not end in time is killed.

        A tuner that goes on computing would delay the manager by a minute and outlive it, because NNI kills
        only the shell around it. The manager is told first, without nnictl, which needs seconds to begin on a
        busy machine: it takes the end of a tuner for an error, and then does not record how trials ended.
        """
        processes = self.processes()
        for manager in processes[:1]:
            with suppress(psutil.NoSuchProcess):
                manager.terminate()
        # A trial that began in the meantime is not its child any more once the manager has ended.
        processes += [one for one in self.processes() if one not in processes]
        _, computing = psutil.wait_procs(filter(_is_tuner, processes), timeout=TUNER_SECONDS)
        for process in computing:
            process.kill()
        _, left = psutil.wait_procs(processes, timeout=STOP_SECONDS)
        for process in left:
            process.kill()
        psutil.wait_procs(left, timeout=5)


def _managers() -> Iterator[psutil.Process]:
    """NNI's managers that run on this machine, other than those that only show an experiment."""
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if "--experiment-id" in words and "nni_node" in " ".join(words) and "view" not in words:
            yield process


def running() -> dict[str, Path]:
    """{id: folder} of the experiments that run on this machine."""
    found = {}
    for manager in _managers():
        words = manager.info["cmdline"]
        given = dict(pairwise(words))
        id, runs = given["--experiment-id"], given.get("--experiments-directory")
        if runs:
            found[id] = Path(runs) / id
    return found


def start(config: Path, port: int, runs: Path, environ: Mapping[str, str] | None = None) -> Server:
    """Start `config` by `nnictl create`, with `environ` beside this process's own; RuntimeError, with NNI's
    message, if it does not start."""
    output = _nnictl("create", "--config", str(config), "--port", str(port), environ=environ)
    found = re.search(r"nnictl stop (\w{8})", output)
    if found:
        server = Server(found[1], port, runs / found[1])
        if server.processes():
            return server
        # Another manager took the port in the meantime, and nnictl mistook it for ours.
        _remove_unless_begun(server.folder)
        raise UsageError(f"port {port} was taken by another experiment; try again")
    if created := re.search(r"Experiment ID: \W*(\w{8})", output):
        server = Server(created[1], port, runs / created[1])
        server.stop()
        output += f"\n{last_word(server.folder)}"
        _remove_unless_begun(server.folder)
    raise _not_started(output, port)


def resume(folder: Path, port: int, environ: Mapping[str, str] | None = None) -> Server:
    """Start the experiment in `folder` again by `nnictl resume`; as `start`."""
    server = Server(folder.name, port, folder)
    output = _nnictl("resume", server.id, "--port", str(port), "-e", str(folder.parent), environ=environ)
    processes = server.processes()
    if processes and str(port) in processes[0].cmdline() and "Create experiment failed" not in output:
        return server
    if processes:
        server.stop()
    raise _not_started(output, port)


def _remove_unless_begun(folder: Path) -> None:
    """Remove what a failed start left: it would be the newest experiment."""
    if not (folder / "trials").exists():
        shutil.rmtree(folder, ignore_errors=True)


def _not_started(output: str, port: int) -> Exception:
    if "is not idle" in output or taken(port):
        return UsageError(f"port {port} is in use; try again, or choose another with --port")
    return RuntimeError(f"NNI did not start: {_last_sentence(output)}")


def _last_sentence(output: str) -> str:
    """The last line that is not part of a traceback, without colours."""
    lines = re.sub(r"\x1b\[[\d;]*m", "", output).splitlines()
    return next(
        (line for line in reversed(lines) if line.strip() and line[:1] not in " \t^"), "without a message"
    )


def _is_tuner(process: psutil.Process) -> bool:
    try:
        return "--exp_params" in process.cmdline()
    except psutil.Error:
        return False


def _nnictl(*words: str, environ: Mapping[str, str] | None = None) -> str:
    """What nnictl prints."""
    with _begin(*words, environ=environ) as nnictl:
        try:
            return nnictl.communicate(timeout=NNICTL_SECONDS)[0]
        except subprocess.TimeoutExpired as error:
            nnictl.kill()
            # What it has printed names the experiment whose manager it may have started. It comes as bytes.
            printed = (error.output or b"").decode(errors="replace")
            return f"{printed}\nnnictl took longer than {NNICTL_SECONDS} s"


def _begin(*words: str, environ: Mapping[str, str] | None = None) -> "subprocess.Popen[str]":
    """Start nnictl in a session of its own, so that Ctrl-C reaches only this process, which stops the
    rest."""
    return subprocess.Popen(
        [sys.executable, "-m", "tuners.nnictl", *words],
        env={**os.environ, **(environ or {})},
        start_new_session=True,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
