"""An experiment's plan: read from its YAML and search space, changed by settings, and written for NNI."""

import json
import math
import os
import shlex
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from common.errors import unknown
from common.machine import EXPERIMENTS, shipped
from common.nni_yaml import TRIAL, read_experiment, split_command
from common.text import counted
from experiments.checks.space import described, without
from experiments.checks.yaml_keys import seconds
from experiments.machines.inspect import Inspected
from experiments.machines.remote import remote_service
from trial.aliases import current_field

# This project's tuner, and its assessor that pauses.
SEARCH, PAUSES = "tuners.search.Search", "tuners.search.PauseAndGoOn"
WITHOUT_PAUSES = "tuners.search.CannotWin"
STINTS = 4  # of NNI's trials, into which a training that is paused may fall


@dataclass(frozen=True)
class Plan:
    """The content of an experiment's YAML.

    `config`: its keys in NNI's spelling, paths relative to the YAML's folder; `space`: the search space;
    `start` (`python -m trial`) and `fixed` (`key=value` words): the trialCommand; `taken`: fields that
    settings took out of the space; `notes`: what the tuner warned of when it was tried, `first`: the recipe
    that it began with; `keep`: how many finished trials keep their networks, None: all; `machines`: other
    ones that the trials run on, as they were found; none: this one; `retrains`: whether the best recipe is
    retrained after the search.
    """

    path: Path
    config: dict[str, Any]
    space: dict[str, Any]
    start: str
    fixed: tuple[str, ...]
    taken: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    first: dict[str, Any] = field(default_factory=dict)
    keep: int | None = None
    machines: tuple[Inspected, ...] = ()
    retrains: bool = False

    def folder(self, key: str, default: Path) -> Path:
        """The absolute path of the folder in `config[key]`, or `default`."""
        given = self.config.get(key)
        if not isinstance(given, str) or not given:
            return default
        return (self.path.parent / os.path.expanduser(given)).resolve()

    @property
    def name(self) -> str:
        return str(self.config.get("experimentName") or self.path.stem)

    @property
    def data(self) -> str:
        """The folder of photos that the trials read."""
        return next((word.partition("=")[2] for word in self.fixed if word.startswith("data=")), "input")

    @property
    def code(self) -> Path:
        """The folder in which trials run."""
        return self.folder("trialCodeDirectory", self.path.parent.resolve())

    @property
    def runs(self) -> Path:
        """The folder that will hold the experiment's folder."""
        return self.folder("experimentWorkingDirectory", EXPERIMENTS)

    @property
    def is_ours(self) -> bool:
        """Whether the tuner is this project's."""
        return bool(self.config["tuner"].get("className") == SEARCH)

    @property
    def arguments(self) -> dict[str, Any]:
        """Those of the tuner."""
        return self.config["tuner"].get("classArgs") or {}

    @property
    def pauses(self) -> bool:
        """Whether trainings are paused and go on, each time as another trial of NNI."""
        return (self.config.get("assessor") or {}).get("className") == PAUSES

    @property
    def is_grid_search(self) -> bool:
        """Whether the tuner is NNI's GridSearch, which tries each combination once."""
        return str(self.config["tuner"].get("name", "")).lower() == "gridsearch"

    @property
    def number(self) -> float | None:
        """The number of trials, or of whole trainings if they are paused; None if it is not limited."""
        return self.arguments.get("trainings") if self.pauses else self.config.get("maxTrialNumber")

    def with_trials(self, number: int | None) -> "Plan":
        """The plan with this number of trials (None: any number); of whole trainings, if they are paused."""
        config = {key: value for key, value in self.config.items() if key != "maxTrialNumber"}
        plan = replace(self, config=config)
        if self.pauses or "trainings" in self.arguments:
            plan = plan.with_tuner(trainings=number if self.pauses else None)
        if number is not None:
            plan.config["maxTrialNumber"] = STINTS * number if self.pauses else number
        return plan

    def with_tuner(self, **arguments: Any) -> "Plan":
        """The plan with these arguments of the tuner; None takes one away."""
        kept = {key: value for key, value in (self.arguments | arguments).items() if value is not None}
        return replace(self, config=self.config | {"tuner": self.config["tuner"] | {"classArgs": kept}})

    def without_pauses(self) -> "Plan":
        """The plan with as many whole trainings, of which none is paused: a trial on another machine can't go
        on from a checkpoint that lies on the first one."""
        if not self.pauses:
            return self
        assessor = {key: value for key, value in self.config["assessor"].items() if key != "classArgs"}
        assessor["className"] = WITHOUT_PAUSES
        changed = replace(self, config=self.config | {"assessor": assessor})
        return changed if self.number is None else changed.with_trials(math.ceil(self.number))

    def with_settings(self, settings: Iterable[str]) -> "Plan":
        """The plan with `key=value` words fixed for all trials: they replace the command's, and their fields
        are no longer searched."""
        plan = self
        for word in settings:
            key = current_field(word.partition("=")[0])
            fixed = [
                w for w in plan.fixed if not (current_field(w.partition("=")[0]) + ".").startswith(f"{key}.")
            ]
            space = without(plan.space, key) if "." not in key else plan.space
            taken = plan.taken if space == plan.space else (*plan.taken, key)
            plan = replace(plan, fixed=(*fixed, word), space=space, taken=taken)
        return replace(plan, config=_without_defaults(plan.config, set(self.space) - set(plan.space)))

    def summary(self) -> list[str]:
        """Lines on the search: number of trials, tuner, and each field of the space."""
        tuner, number = self.config["tuner"], self.number
        count = f"{number:.10g}" if number else "any number of"
        trials = f"{count} {'whole trainings' if self.pauses else 'trials'}"
        name = tuner.get("name") or str(tuner["className"]).rpartition(".")[2]
        words = [f"it searches {counted(len(self.space), 'field')} by {name}: {trials}"]
        words.append(f"{self.config['trialConcurrency']} at a time")
        if limit := self.config.get("maxExperimentDuration"):
            words.append(f"none begins after {limit}{'' if isinstance(limit, str) else ' s'}")
        if hours := self.arguments.get("hours") if self.is_ours else None:
            words.append(f"for {hours:g} hours")
        lines = [", ".join(words)]
        lines += [f"  {line}" for line in described(self.space)]
        for key in self.taken:
            word = next(word for word in reversed(self.fixed) if current_field(word.partition("=")[0]) == key)
            lines.append(f"--set {word} takes {key} out of the search space: all trials have it")
        return [*lines, *self.notes]

    def service(self) -> dict[str, Any]:
        """What the machines change in NNI's configuration."""
        if not self.machines:
            return {}
        return remote_service(
            [one.machine for one in self.machines], self.config["trainingService"], self.data
        )

    def effective(self) -> dict[str, Any]:
        """The YAML that is handed to NNI: with absolute paths, the space inside, and the settings in the
        command. Our tuner is told of a maxExperimentDuration, towards whose end it looks at what fits."""
        plan, limit = self, seconds(self.config.get("maxExperimentDuration"))
        if limit and self.is_ours and "hours" not in self.arguments:
            plan = self.with_tuner(hours=round(limit / 3600, 5))
        config = {key: value for key, value in plan.config.items() if key != "searchSpaceFile"}
        for key in ("tuner", "assessor"):
            if isinstance(config.get(key), dict) and "className" in config[key]:
                folder = self.path.parent / os.path.expanduser(config[key].get("codeDirectory", "."))
                config[key] = config[key] | {"codeDirectory": str(folder.resolve())}
        config |= self.service()
        return config | {
            "experimentName": self.name,
            "searchSpace": self.space,
            "trialCommand": f"{self.start} {shlex.join(self.fixed)}",
            "trialCodeDirectory": str(self.code),
            "experimentWorkingDirectory": str(self.runs),
        }


def read_plan(path: Path) -> tuple[Plan | None, list[str]]:
    """(plan, errors) of the YAML at `path`: the plan as far as it can be read, None if not at all."""
    if not path.is_file():
        names = [path.name for path in shipped("experiments", "*.yaml")]
        return None, [f"{path}: no such file: {unknown('experiment in experiments/', path.name, names)}"]
    config, space, errors = read_experiment(path)
    if config is None:
        return None, errors
    if space == {}:
        key = "searchSpaceFile" if "searchSpaceFile" in config else "searchSpace"
        errors.append(f"{key}: is empty: there is nothing to search")
    try:
        json.dumps([config, space])
    except (TypeError, ValueError, RecursionError) as error:
        errors.append(f"{path}: NNI can't be given it as JSON ({error}); quote dates, use no self-reference")
    start, fixed = TRIAL, tuple[str, ...]()
    if command := config.get("trialCommand"):
        try:
            start, fixed = split_command(str(command))
        except ValueError as error:
            errors.append(f"trialCommand: {error}")
    return Plan(path, config, space if isinstance(space, dict) else {}, start, fixed), errors


def _without_defaults(config: dict[str, Any], fields: set[str]) -> dict[str, Any]:
    """`config` without the tuner's defaults for `fields`, which are no longer searched, also in its `first`
    points."""
    tuner = config.get("tuner")
    arguments = tuner.get("classArgs") if isinstance(tuner, dict) else None
    if not isinstance(tuner, dict) or not isinstance(arguments, dict):
        return config

    def left(point: Any) -> Any:
        return {k: v for k, v in point.items() if k not in fields} if isinstance(point, dict) else point

    changed = {"default": left(arguments["default"])} if "default" in arguments else {}
    if isinstance(first := arguments.get("first"), list):
        changed["first"] = [left(one) for one in first]
    return config | {"tuner": tuner | {"classArgs": arguments | changed}}
