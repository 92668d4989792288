"""machines.yaml: the machines that trials run on, one entry each."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from common.errors import UsageError, unknown
from common.kinds import is_integer
from common.nni_yaml import read_file

MAX_TRIALS = 64
IS_NAME = re.compile(r"[A-Za-z0-9_][\w.-]*", re.ASCII)
IS_ADDRESS = re.compile(r"[A-Za-z0-9_][\w.:-]*", re.ASCII)  # of a host or user: never an option of ssh
STRANGE = re.compile(r"[^\w@%+=:,./-]")  # NNI writes paths into its scripts without quotes


@dataclass(frozen=True)
class Machine:
    """A machine that trials run on.

    `host`, `port`, `user`, `key` (file of the private key here), `known_hosts` (file here; '': the user's):
    how SSH reaches it. There: `project`, the project's folder; `python`, the one of its environment; `data`,
    the photos ('': as the trials' command says, relative to the project); `trials`, how many run at once;
    `gpus`, the indices of those that it must have (and that NNI hands out if the YAML has a trialGpuNumber).
    """

    name: str
    host: str
    user: str
    key: str
    project: str
    python: str = ""
    data: str = ""
    port: int = 22
    trials: int = 1
    gpus: tuple[int, ...] = ()
    known_hosts: str = ""

    @property
    def address(self) -> str:
        return f"{self.user}@{self.host}"

    def data_there(self, data: str) -> str:
        """The absolute path there of the photos that the trials' command calls `data`."""
        return str(PurePosixPath(self.project, self.data or data))


KEYS = tuple(field.name for field in fields(Machine) if field.name != "name")
NEEDED = ("host", "user", "key", "project")
FILES = ("key", "known_hosts")  # of this machine; `~` and paths relative to machines.yaml are allowed
NUMBERS = {"port": 65535, "trials": MAX_TRIALS}  # key: the highest allowed


def read_machines(path: Path) -> tuple[Machine, ...]:
    """The machines that the YAML at `path` lists, `name: {host: ..., ...}` each. UsageError has every
    mistake."""
    if not path.is_file():
        raise UsageError(f"{path}: no such file; copy experiments/machines.yaml.example and fill it in")
    read, errors = read_file(path)
    if not isinstance(read, dict) or not read:
        raise UsageError(errors or [f"{path}: is not a mapping of machines: name: {{host: ..., ...}}"])
    machines = []
    for name, given in read.items():
        mistakes = _mistakes(name, given)
        errors += [f"{path}: {name}: {mistake}" for mistake in mistakes]
        if not mistakes:
            machines.append(_machine(name, given, path.parent))
    places = [(one.host, one.port, one.project) for one in machines]
    for one, place in zip(machines, places, strict=True):
        if places.count(place) > 1:
            errors.append(f"{path}: {one.name}: {one.host} is listed twice; give it more `trials` instead")
    if errors:
        raise UsageError(dict.fromkeys(errors))
    return tuple(machines)


def write_machines(path: Path, machines: tuple[Machine, ...]) -> None:
    """Write what `read_machines` reads."""
    entries = {one.name: {k: v for k, v in asdict(one).items() if k != "name" and v} for one in machines}
    entries = {
        name: {k: list(v) if k == "gpus" else v for k, v in one.items()} for name, one in entries.items()
    }
    path.write_text(yaml.safe_dump(entries, sort_keys=False, allow_unicode=True))


def _machine(name: str, given: Mapping[str, Any], folder: Path) -> Machine:
    values = {key: value for key, value in given.items() if value is not None}
    values |= {
        key: str((folder / Path(values[key]).expanduser()).resolve()) for key in FILES if key in values
    }
    values["gpus"] = tuple(values.get("gpus", ()))
    values.setdefault("python", f"{values['project']}/.venv/bin/python")
    return Machine(name, **values)


def _mistakes(name: Any, given: Any) -> list[str]:
    if not isinstance(name, str) or not IS_NAME.fullmatch(name):
        return ["a name has letters, digits, '.', '_' and '-' only"]
    if not isinstance(given, Mapping):
        return [f"{given!r} is not a mapping such as {{host: ..., user: ..., key: ..., project: ...}}"]
    given = {key: value for key, value in given.items() if value is not None}
    found = [unknown("key", key, KEYS) for key in given if key not in KEYS]
    found += [f"{key}: is missing" for key in NEEDED if key not in given]
    for key, value in given.items():
        if key in NUMBERS:
            if not is_integer(value, 1, NUMBERS[key]):
                found.append(f"{key}: {value!r} is not an integer from 1 to {NUMBERS[key]}")
        elif key == "gpus":
            indices = value if isinstance(value, list) else []
            whole = all(is_integer(one, 0) for one in indices)
            if not indices or not whole or len(set(indices)) < len(indices):
                found.append(f"gpus: {value!r} is not a list of GPU numbers such as [0, 1], each once")
        elif key in KEYS:
            found += _text_mistakes(key, value)
    return found


def _text_mistakes(key: str, value: Any) -> list[str]:
    if not isinstance(value, str) or not value:
        return [f"{key}: {value!r} is not a text"]
    if key in ("host", "user") and not IS_ADDRESS.fullmatch(value):
        return [f"{key}: {value!r} can't be a {key}: letters, digits, '.', '_', ':' and '-' only"]
    if key in ("project", "python") and not PurePosixPath(value).is_absolute():
        return [f"{key}: {value!r} is not an absolute path of that machine"]
    if key in ("project", "python", "data") and (strange := STRANGE.search(value)):
        return [f"{key}: {value!r} has {strange[0]!r} in it, with which NNI can't run trials"]
    return []
