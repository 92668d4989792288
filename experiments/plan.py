"""An experiment's YAML and space, read; and as NNI is given them."""

import json
import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from dataset.machine import EXPERIMENTS, PROJECT
from experiments.space import without
from experiments.yaml_keys import ALGORITHM, KEYS, spell

TRIAL = "-m trial "


@dataclass(frozen=True)
class Plan:
    """What a YAML says: `config` in NNI's spelling, `space` read, `start` (`python -m trial`) and `fixed`
    (its `key=value` words) from trialCommand. Paths in `config` start from the YAML's folder."""

    path: Path
    config: dict[str, Any]
    space: dict[str, Any]
    start: str
    fixed: tuple[str, ...]

    def folder(self, key: str, default: Path) -> Path:
        """The folder that `config[key]` names, absolute."""
        given = self.config.get(key)
        return (self.path.parent / Path(given).expanduser()).resolve() if given else default

    @property
    def name(self) -> str:
        return str(self.config.get("experimentName") or self.path.stem)

    @property
    def code(self) -> Path:
        """Where trials run."""
        return self.folder("trialCodeDirectory", self.path.parent.resolve())

    @property
    def runs(self) -> Path:
        """Where the experiment's folder will lie."""
        return self.folder("experimentWorkingDirectory", EXPERIMENTS)

    def with_settings(self, settings: Iterable[str]) -> "Plan":
        """Fixed for all trials: each `key=value` replaces the command's, and is searched no longer."""
        plan = self
        for word in settings:
            key = word.partition("=")[0]
            fixed = [w for w in plan.fixed if not (w + ".").startswith((f"{key}=", f"{key}."))]
            space = without(plan.space, key) if "." not in key else plan.space
            plan = replace(plan, fixed=(*fixed, word), space=space)
        return plan

    def effective(self) -> dict[str, Any]:
        """The YAML as NNI is given it: absolute paths, the space inside, these settings in the command."""
        config = {key: value for key, value in self.config.items() if key != "searchSpaceFile"}
        for key in ("tuner", "assessor"):
            if isinstance(config.get(key), dict) and "className" in config[key]:
                folder = self.path.parent / Path(config[key].get("codeDirectory", ".")).expanduser()
                config[key] = config[key] | {"codeDirectory": str(folder.resolve())}
        return config | {
            "experimentName": self.name,
            "searchSpace": self.space,
            "trialCommand": f"{self.start} {shlex.join(self.fixed)}",
            "trialCodeDirectory": str(self.code),
            "experimentWorkingDirectory": str(self.runs),
        }


def read_plan(path: Path) -> tuple[Plan | None, list[str]]:
    """The plan in the YAML at `path`, as far as it can be read, and what kept the rest from being read."""
    if not path.is_file():
        there = ", ".join(sorted(p.name for p in (PROJECT / "experiments").glob("*.yaml")))
        return None, [f"{path}: no such file; the shipped ones, in experiments/: {there}"]
    config, faults = _load(path)
    if not isinstance(config, dict):
        return None, faults or [f"{path}: is not a mapping of keys to values"]
    config = spell(config, KEYS)
    for key in ("tuner", "assessor"):
        if isinstance(config.get(key), dict):
            config[key] = spell(config[key], ALGORITHM)
    space: Any = config.get("searchSpace")
    if isinstance(file := config.get("searchSpaceFile"), str):
        file = path.parent / Path(file).expanduser()
        space, more = _load(file) if file.is_file() else (None, [f"searchSpaceFile: there is no {file}"])
        faults += more
    command = str(config.get("trialCommand", ""))
    start, found, words = command.partition(TRIAL)
    try:
        fixed = tuple(shlex.split(words))
    except ValueError as error:
        fixed, faults = (), [*faults, f"trialCommand: {error}"]
    if config.get("trialCommand") and not found and not command.endswith(TRIAL.strip()):
        faults.append(f"trialCommand: {command!r} is not 'python -m trial key=value ...'")
    return Plan(path, config, space if isinstance(space, dict) else {}, start + "-m trial", fixed), faults


def _load(path: Path) -> tuple[Any, list[str]]:
    """A YAML or JSON file's content, and why it could not be read; keys given twice are faults too."""
    text = path.read_text(encoding="utf-8")
    twice: list[str] = []

    def no_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        twice.extend(f"{path}: {key} is given twice" for key in dict.fromkeys(keys) if keys.count(key) > 1)
        return dict(pairs)

    try:
        if path.suffix == ".json":
            return json.loads(text, object_pairs_hook=no_doubles), twice
        value = yaml.safe_load(text)
    except (json.JSONDecodeError, yaml.YAMLError) as error:
        return None, [f"{path}: {' '.join(str(error).split())}"]
    keys = re.findall(r"^(\w+):", text, re.MULTILINE)
    twice += [f"{path}: {key} is given twice" for key in dict.fromkeys(keys) if keys.count(key) > 1]
    return value, twice
