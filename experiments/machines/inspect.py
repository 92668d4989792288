"""Whether each machine can run the trials as this one would: all are asked at once, before the start."""

import json
import logging
import shlex
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from common.errors import UsageError
from common.machine import PROJECT
from common.text import bytes_text
from experiments.machines.listed import Machine
from experiments.machines.probe import TEMPORARY, facts
from experiments.machines.ssh import key_errors, last_line, run_there, unreachable

logger = logging.getLogger(__name__)
MAX_CLOCK = 30  # seconds: above it, times in run folders and the time left would be wrong
PROBE = "experiments.machines.probe"
HEADS = (
    "machine", "state", "trials", "code", "packages", "photos", "weights", "GPUs", "cores",
    "free disk", "clock",
)  # fmt: skip


@dataclass(frozen=True)
class Order:
    """What the machines are asked for: `data`, the photos as the trials' command calls them; `here`, their
    folder on this machine; `networks`: (name, source of weights); `bytes`: of disk, for all trials."""

    data: str
    here: str
    networks: tuple[tuple[str, str], ...]
    bytes: int = 0


@dataclass(frozen=True)
class Inspected:
    """What was found on a machine. `facts`: of `probe.facts`, and "clock", by how many seconds its clock is
    ahead at least; empty if it could not be asked. `errors`: why it can't run trials, and what to do."""

    machine: Machine
    facts: Mapping[str, Any]
    errors: tuple[str, ...]
    cells: tuple[str, ...]  # of the table, from "code" on


def usable(
    machines: Sequence[Machine], order: Order, without_failing: bool = False
) -> tuple[list[Inspected], str]:
    """(What was found on the machines that can run the trials, the table of all of them).

    UsageError names every machine that can't, why, and what to do; `without_failing` leaves these out as long
    as there is another.
    """
    found = inspect(machines, order)
    good = [one for one in found if not one.errors]
    errors = [f"{one.machine.name}: {error}" for one in found for error in one.errors]
    if errors and not (without_failing and good):
        if good:
            errors.append(
                f"to go on with {', '.join(one.machine.name for one in good)} alone: --without-failing"
            )
        raise UsageError([*table(found).splitlines(), *errors])
    for error in errors:
        logger.warning("left out: %s", error)
    return good, table(found)


def inspect(machines: Sequence[Machine], order: Order) -> list[Inspected]:
    """What was found on each machine, asked at the same time."""
    here = facts(order.here, order.networks)
    with ThreadPoolExecutor(len(machines)) as pool:
        return list(pool.map(lambda one: _inspect(one, order, here, len(machines)), machines))


def table(found: Sequence[Inspected]) -> str:
    """A line for each machine, below a line of heads."""
    rows: list[tuple[str, ...]] = [HEADS]
    for one in found:
        state = "fails" if one.errors else "ready"
        rows.append((one.machine.name, state, str(one.machine.trials), *one.cells))
    widths = [max(len(row[n]) for row in rows) for n in range(len(HEADS))]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def _inspect(machine: Machine, order: Order, here: Mapping[str, Any], among: int) -> Inspected:
    nothing = ("–",) * (len(HEADS) - 3)
    if errors := key_errors(machine):
        return Inspected(machine, {}, tuple(errors), nothing)
    asked = {"data": machine.data_there(order.data), "networks": order.networks}
    command = f"cd {machine.project} && {machine.python} -m {PROBE}"
    sent = time.time()
    answer = run_there(machine, command, json.dumps(asked))
    received = time.time()
    if answer.returncode:
        return Inspected(machine, {}, (_no_answer(machine, answer.returncode, answer.stderr),), nothing)
    *before, last = answer.stdout.strip().splitlines() or [""]
    try:
        there = json.loads(last)
        there["clock"] = there["time"] - min(max(there["time"], sent), received)
    except (ValueError, KeyError, TypeError):
        return Inspected(machine, {}, (f"{command}: printed no facts: {answer.stdout[-200:]!r}",), nothing)
    if before:  # what rsync, tar and NNI's client receive would begin with it, too
        prints = (
            f"a login script there prints ({before[0][:80]!r}), which spoils what is copied; let it print in "
            "interactive shells only"
        )
        return Inspected(machine, {}, (prints,), nothing)
    sftp = run_there(machine, "sftp", subsystem=True)
    if sftp.returncode:  # the manager would end at the first trial
        error = (
            "its SSH server has no sftp, by which NNI sends the trials' files; give it, in sshd_config "
            "there: Subsystem sftp internal-sftp"
        )
        if sftp.returncode == 255 and "subsystem" not in sftp.stderr:
            error = unreachable(machine, sftp.stderr)
        return Inspected(machine, {}, (error,), nothing)
    checks = _checks(machine, order, here, there, among)
    cells = tuple(cell for cell, _ in checks.values())
    return Inspected(machine, there, tuple(error for _, error in checks.values() if error), cells)


def _no_answer(machine: Machine, code: int, said: str) -> str:
    if code == 255:
        return unreachable(machine, said)
    last = last_line(said, f"exit {code}")
    if "No module named" in said and "experiments" in said:
        return f"{machine.project} has an earlier version of the project, or none: {_copy_project(machine)}"
    if "cd:" in said:
        return f"project: there is no {machine.project} ({last}): {_copy_project(machine)}"
    if code in (126, 127):
        return (
            f"python: {machine.python} does not run there ({last}); there: cd {machine.project} && make env"
        )
    return f"its Python failed ({last}); there: cd {machine.project} && make env"


def _checks(
    machine: Machine, order: Order, here: Mapping[str, Any], there: Mapping[str, Any], among: int
) -> dict[str, tuple[str, str]]:
    """{head: (cell of the table, error or '')}."""
    photos = machine.data_there(order.data)
    make = f"there: cd {machine.project} && make env"
    checks = {"code": ("same", "")}
    if here["code"] != there["code"]:
        checks["code"] = ("differs", f"{machine.project} has other code than here: {_copy_project(machine)}")
    checks["packages"] = ("same", "")
    if differing := _other_versions(here["versions"], there["versions"]):
        checks["packages"] = ("differ", f"other packages than here ({', '.join(differing)}); {make}")
    elif here["lock"] != there["lock"]:
        checks["packages"] = ("lock differs", f"another requirements.lock than here; copy it, then {make}")
    checks["photos"] = ("same", "")
    if there["data"] != here["data"]:
        copy = f"{_rsync(machine)} --delete {shlex.quote(order.here)}/ {machine.address}:{photos}/"
        gone = there["data"] is None
        text = f"no photos in {photos}" if gone else f"{photos} holds other photos than {order.here} here"
        checks["photos"] = ("missing" if gone else "differ", f"{text}; copy them: {copy}")
    weights = "; ".join(there["weights"])
    checks["weights"] = (
        ("missing", f"{weights} (there, in {machine.project})") if weights else ("present", "")
    )
    checks["GPUs"] = (str(there["gpus"]), "")
    if machine.gpus and max(machine.gpus) >= there["gpus"]:
        listed = ", ".join(map(str, machine.gpus))
        error = f"gpus: {listed} asked for, and nvidia-smi there lists {there['gpus']} (counted from 0)"
        checks["GPUs"] = (str(there["gpus"]), f"{error}; correct gpus, or see to its driver")
    checks["cores"] = (str(there["cores"]), "")
    checks["free disk"] = (bytes_text(there["free"]), "")
    if there["free"] < order.bytes / among:
        needed = bytes_text(order.bytes // among)
        error = f"{bytes_text(there['free'])} free in {TEMPORARY}, and its trials may need {needed}"
        checks["free disk"] = (bytes_text(there["free"]), f"{error}; free some there")
    clock = round(there["clock"])
    checks["clock"] = (f"{clock:+} s" if clock else "same", "")
    if abs(clock) > MAX_CLOCK:
        checks["clock"] = (f"{clock:+} s", f"its clock is {clock:+} s from this one; set one of them by NTP")
    return checks


def _other_versions(here: Mapping[str, str], there: Mapping[str, str]) -> list[str]:
    """The packages whose versions differ. Other builds (2.14.1+cpu), or digits of Python, are the same."""

    def plain(name: str, version: str) -> str:
        return ".".join(version.split(".")[:2]) if name == "python" else version.partition("+")[0]

    return [
        f"{name} {there.get(name, 'missing')} there, {version} here"
        for name, version in here.items()
        if plain(name, version) != plain(name, there.get(name, ""))
    ]


def _rsync(machine: Machine) -> str:
    """rsync keeps the times of files, which the photos' fingerprint holds."""
    given = ["ssh", "-i", machine.key, "-p", str(machine.port)]
    return f"rsync -a -e {shlex.quote(shlex.join(given))}"


def _copy_project(machine: Machine) -> str:
    """The command that makes the project there the same as here."""
    kept = " ".join(f"--exclude={name}" for name in (".venv", "out", "input", "weights", ".git"))
    place = f"{machine.address}:{machine.project}/"
    here = shlex.quote(str(PROJECT))
    return f"copy it: {_rsync(machine)} --delete {kept} {here}/ {place}; then there: make env"
