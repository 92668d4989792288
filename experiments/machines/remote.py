"""Run an experiment on other machines by NNI's remote service, and bring its run folders back.

All connections are SSH and begin here. NNI's own SSH client starts the trials there; a tunnel for each
machine carries their reports to the manager, which listens on 127.0.0.1 only; rsync, or tar, copies their run
folders to the places where those of local trials lie.
"""

import json
import logging
import os
import shlex
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from common.errors import UsageError
from common.files import part_of
from experiments.checks.ports import taken
from experiments.machines.inspect import Inspected
from experiments.machines.listed import Machine, write_machines
from experiments.machines.probe import TEMPORARY, network
from experiments.machines.ssh import SECONDS, last_line, run_there, ssh, unreachable
from experiments.server import Server
from trial.advisor import CONCURRENCY, PRELOADED
from trial.run_folder.checkpoint import CHECKPOINT
from trial.run_folder.record import RunFolder

logger = logging.getLogger(__name__)
MACHINES = "machines.yaml"  # in the experiment's folder
LIMITS = "FACE_MASK_MACHINES"  # environment variable of the manager: nni_setup/remote.js
FETCH_SECONDS, REOPEN_SECONDS, CLOSE_SECONDS = 5.0, 5.0, 5.0
OF_GPUS = ("useActiveGpu", "maxTrialNumberPerGpu")  # of a local service, or of each machine
# In a trial's folder there: NNI's own files, and what is still being written.
NOT_OURS = ("code", ".nni", "run.sh", "install_nni.sh", "parameter*.cfg", ".*.part")
LARGE = ("*.safetensors", CHECKPOINT)  # networks and checkpoints: copied once, at the end
# Wait for the end of the experiment's processes there: NNI sends the signal that stops a trial, and does not
# wait. Those that do not end are asked to, then killed. A machine may have had no trial.
END = """\
mkdir -p {there}/trials
of() {{ grep -lsz '^NNI_EXP_ID={id}$' /proc/[0-9]*/environ | cut -d/ -f3; }}
for signal in 0 TERM KILL; do
  [ -z "$(of)" ] || kill -$signal $(of) 2>/dev/null
  for i in $(seq 20); do [ -n "$(of)" ] || exit 0; sleep 0.5; done
done
"""
# The Python that NNI starts there, for its tools. These start the trials, whose command they are given.
LAUNCHER = """\
#!/bin/sh
# Written by python -m experiments run --machines
cd {project} || exit 1
export {preloaded}=1 {concurrency}={trials}
for word do
  shift
  case $word in *{here}*) word=${{word%%{here}*}}{there}${{word#*{here}}} ;; esac
  set -- "$@" "$word"
done
exec {python} "$@"
"""


def launcher(machine: Machine, data: str) -> tuple[str, str]:
    """(Folder there, text) of the `python` by which NNI starts trials in the project there, with the photos
    there in place of `data`."""
    text = LAUNCHER.format(
        project=machine.project, python=machine.python, trials=machine.trials,
        here=shlex.quote(f"data={data}"), there=f"data={machine.data_there(data)}",
        preloaded=PRELOADED, concurrency=CONCURRENCY,
    )  # fmt: skip
    return f"{machine.project}/out/launchers/{sha256(text.encode()).hexdigest()[:12]}", text


def remote_service(machines: Sequence[Machine], local: Mapping[str, Any], data: str) -> dict[str, Any]:
    """The keys of NNI's configuration that put the trials on `machines`, in place of the service `local`."""
    gpus = {key: local[key] for key in OF_GPUS if key in local}
    listed = [
        {
            "host": one.host, "port": one.port, "user": one.user, "sshKeyFile": one.key,
            "pythonPath": launcher(one, data)[0], **gpus,
            **({"gpuIndices": list(one.gpus)} if one.gpus else {}),
        }
        for one in machines
    ]  # fmt: skip
    service = {"platform": "remote", "reuseMode": False, "machineList": listed}
    if "trialGpuNumber" in local:
        service["trialGpuNumber"] = local["trialGpuNumber"]
    return {
        "nniManagerIp": "127.0.0.1",  # the end of the tunnel there
        "trialConcurrency": sum(one.trials for one in machines),
        "trainingService": service,
    }


def local_service(remote: Mapping[str, Any]) -> dict[str, Any]:
    """The service that `remote_service` took the place of, from what NNI recorded."""
    first = remote["machineList"][0]
    number = {"trialGpuNumber": remote["trialGpuNumber"]} if remote.get("trialGpuNumber") is not None else {}
    return {"platform": "local", **number, **{key: first[key] for key in OF_GPUS if key in first}}


@dataclass(frozen=True)
class RemoteServer(Server):
    """NNI's manager of trials on other machines: stopping it brings their run folders back."""

    links: "Links"

    def stop(self) -> None:
        try:
            super().stop()
        finally:
            self.links.close()


def start_remote(
    start: Callable[[Mapping[str, str]], Server], port: int, found: Sequence[Inspected], data: str
) -> Server:
    """`start` NNI's manager, with more of its environment, on `port`, and link it to the machines.

    UsageError if the port after it, for the trials' reports, is in use here or there.
    """
    if taken(port + 1):
        raise UsageError(f"port {port + 1}, for the trials' reports, is in use; choose another --port")
    links = Links(found, port + 1)
    try:
        links.open(data)
        machines = [one.machine for one in found]
        limits = {f"{one.address}:{one.port}": one.trials for one in machines}
        running = start({LIMITS: json.dumps(limits)})
        write_machines(running.folder / MACHINES, tuple(machines))
    except BaseException:
        links.close()
        raise
    links.fetch_into(running.folder)
    return RemoteServer(running.id, running.port, running.folder, links)


class Links:
    """The tunnels to the machines, for the trials' reports to `port` here, and the copying of run folders."""

    def __init__(self, found: Sequence[Inspected], port: int):
        self.found, self.port = found, port
        self.folder: Path | None = None  # the experiment's
        self._closed = threading.Event()
        self._threads: list[threading.Thread] = []
        self._tunnels: dict[str, subprocess.Popen[str]] = {}

    def open(self, data: str) -> None:
        """Prepare the machines and open the tunnels; UsageError names all that fail."""
        here, errors = network(), []
        for one in self.found:
            folder, text = launcher(one.machine, data)
            made = run_there(
                one.machine,
                f"mkdir -p {folder} && cat > {folder}/python && chmod +x {folder}/python && "
                f"ln -sf python {folder}/python3",
                text,
            )
            if made.returncode:
                errors.append(f"{one.machine.name}: {unreachable(one.machine, made.stderr)}")
            elif one.facts["network"] != here and (error := self._tunnel(one.machine)):
                errors.append(f"{one.machine.name}: {error}")
        if errors:
            raise UsageError(errors)
        for name in self._tunnels:
            self._begin(self._keep_open, next(one.machine for one in self.found if one.machine.name == name))

    def fetch_into(self, folder: Path) -> None:
        """Copy run folders into the experiment's `folder` from now on."""
        self.folder = folder
        for one in self.found:
            self._begin(self._fetch_again, one)

    def close(self) -> None:
        """Bring back what is left there, remove it there, and close the tunnels."""
        self._closed.set()
        for thread in self._threads:
            thread.join()
        for tunnel in self._tunnels.values():
            try:
                tunnel.communicate(timeout=CLOSE_SECONDS)  # closes its input, which ends it
            except subprocess.TimeoutExpired:
                tunnel.kill()
                tunnel.wait()
        if self.folder is not None:
            fetch_all(self.folder, self.found, remove=True)

    def _begin(self, work: Callable[[Any], None], of: object) -> None:
        thread = threading.Thread(target=work, args=(of,), daemon=True)
        thread.start()
        self._threads.append(thread)

    def _tunnel(self, machine: Machine) -> str:
        """Open the tunnel of a machine; why that failed, or ''."""
        forward = f"127.0.0.1:{self.port}:127.0.0.1:{self.port}"
        # It ends with this process, however that ends: cat waits for its input.
        words = [*ssh(machine), "-o", "ExitOnForwardFailure=yes", "-R", forward, machine.address]
        tunnel = subprocess.Popen(
            [*words, "echo open && exec cat"], text=True, start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert tunnel.stdout and tunnel.stderr
        limit = threading.Timer(SECONDS, tunnel.kill)  # ssh waits for ever for a shell that hangs
        limit.start()
        opened = tunnel.stdout.readline().strip() == "open"
        limit.cancel()
        if opened:
            self._tunnels[machine.name] = tunnel
            return ""
        tunnel.kill()
        said = tunnel.communicate()[1]
        if "forwarding failed" in said:
            return f"port {self.port} there, for the trials' reports, is in use; choose another --port"
        return unreachable(machine, said or f"the tunnel did not open within {SECONDS} s")

    def _keep_open(self, machine: Machine) -> None:
        lost = False
        while not self._closed.wait(REOPEN_SECONDS):
            if self._tunnels[machine.name].poll() is None:
                continue
            error = self._tunnel(machine)
            if error and not lost:
                logger.warning("%s: lost, its trials can't report: %s", machine.name, error)
            elif lost and not error:
                logger.warning("%s: reached again", machine.name)
            lost = bool(error)

    def _fetch_again(self, one: Inspected) -> None:
        assert self.folder
        while not self._closed.wait(FETCH_SECONDS):
            if error := fetch(one, self.folder, (*NOT_OURS, *LARGE)):
                logger.debug("%s: %s", one.machine.name, error)


def fetch_all(folder: Path, found: Iterable[Inspected], remove: bool = False) -> None:
    """Once no trial of the experiment in `folder` runs there any more, bring all run folders back, networks
    and all, and with `remove` remove them there. A warning names those that could not be copied."""
    whole = []
    for one in found:
        there = _there(folder)
        run_there(one.machine, END.format(id=folder.name, there=there))
        if error := fetch(one, folder):
            logger.warning(
                "%s: its run folders could not be copied (%s); they lie there in %s, and "
                "python -m experiments resume copies them first", one.machine.name, error, there,
            )  # fmt: skip
        else:
            whole.append(one.machine)
    for machine in whole if remove else ():  # after all were copied: machines may share a disk
        run_there(machine, f"rm -rf {_there(folder)}")
    for trial in (folder / "trials").glob("*"):  # its checkpoint may have been copied before it was done
        if (trial / CHECKPOINT).is_file() and RunFolder(trial).status()["state"] == "done":
            (trial / CHECKPOINT).unlink()


def fetch(one: Inspected, folder: Path, excluded: Sequence[str] = NOT_OURS) -> str:
    """Copy the run folders of the experiment in `folder` from a machine, without the files `excluded`; why
    that failed, or ''. Each file appears here whole, or not at all."""
    if one.facts["rsync"] and shutil.which("rsync"):
        return _by_rsync(one.machine, folder, excluded)
    return _by_tar(one.machine, folder, excluded)


def _there(folder: Path) -> str:
    """Where NNI has the experiment's trials on other machines."""
    return f"{TEMPORARY}/nni-experiments/{folder.name}"


def _by_rsync(machine: Machine, folder: Path, excluded: Sequence[str]) -> str:
    rules = [f"--exclude={name}" for name in excluded]
    source = f"{machine.address}:{_there(folder)}/"
    done = subprocess.run(
        ["rsync", "-a", "-e", shlex.join(ssh(machine)), *rules, "--include=/trials/***", "--exclude=/*",
         source, f"{folder}/"],
        capture_output=True, text=True, start_new_session=True,
    )  # fmt: skip
    return "" if done.returncode == 0 else last_line(done.stderr)


def _by_tar(machine: Machine, folder: Path, excluded: Sequence[str]) -> str:
    rules = " ".join(f"--exclude={shlex.quote(name)}" for name in excluded)
    part = part_of(folder / f"trials of {machine.name}")
    part.mkdir(exist_ok=True)
    command = f"cd {_there(folder)} && mkdir -p trials && tar -cf - {rules} trials"
    try:
        send = subprocess.Popen(
            [*ssh(machine), machine.address, command], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            start_new_session=True,
        )  # fmt: skip
        assert send.stdout and send.stderr
        took = subprocess.run(["tar", "-xf", "-", "-C", str(part)], stdin=send.stdout, capture_output=True)
        said = send.stderr.read()
        if send.wait() or took.returncode:
            return last_line((said or took.stderr).decode(errors="replace"))
        for file in part.rglob("*"):
            place = folder / file.relative_to(part)
            if file.is_dir():
                place.mkdir(parents=True, exist_ok=True)
            else:
                with suppress(FileNotFoundError):
                    os.replace(file, place)
        return ""
    finally:
        shutil.rmtree(part, ignore_errors=True)
