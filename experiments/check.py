"""Every mistake in an experiment's YAML, space, data, weights and port at once, before anything starts."""

import contextlib
import importlib.util
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from dataset.errors import CallersMistake, faults_of
from experiments.algorithms import algorithm_faults
from experiments.plan import Plan, read_plan
from experiments.ports import port_faults
from experiments.rehearsal import rehearse
from experiments.services import gpu_faults, service_faults
from experiments.space import covering, sound, space_faults
from experiments.yaml_keys import key_faults
from trial.arguments import parse_arguments
from trial.config import FIELDS, NO_DATA, parse
from trial.weights import WITHOUT_INTERNET


def check(
    path: Path,
    data: Path | None = None,
    port: int | None = None,
    settings: Iterable[str] = (),
    trials: int | None = None,
) -> Plan:
    """The plan in the YAML at `path` with `data`, `settings` (`key=value`) and the number of `trials` in
    place; CallersMistake names every mistake. A taken port is one only when it was asked for: otherwise a
    free one is chosen."""
    settings = list(settings)
    faults = [f"--set {word}: is not key=value" for word in settings if "=" not in word]
    if importlib.util.find_spec("nni") is None:
        faults.append("NNI is not installed here (it has no build for ARM); searches need an x86-64 machine")
    plan, more = read_plan(path)
    faults += more
    if plan is not None:
        if data is not None:
            settings.append(f"data={data.resolve()}")
        if trials is not None:
            plan = replace(plan, config=plan.config | {"maxTrialNumber": trials})
        wrong_space = space_faults(plan.space)
        faults += key_faults(plan.config) + wrong_space
        # One mistake in the space doesn't hide the others.
        faults += [
            fault for key in plan.space if key not in FIELDS for fault in faults_of(parse, {key: None}, False)
        ]
        whole, plan = plan, replace(plan, space=sound(plan.space))
        plan = plan.with_settings(word for word in settings if "=" in word)
        faults += plan_faults(plan)
        if whole.space and not wrong_space and not plan.space:
            faults.append(
                f"{' '.join(f'--set {word}' for word in settings)}: nothing is left to search; train this "
                "one recipe by python -m trial, or search another field"
            )
        faults += recipe_faults(plan) + data_faults(plan)
        if not faults:
            faults += rehearsal_faults(plan)
    faults += port_faults(port)
    if faults or plan is None:
        raise CallersMistake(dict.fromkeys(faults))
    return plan


def plan_faults(plan: Plan) -> list[str]:
    """What is wrong with tuner, assessor, trainingService, GPUs and folders."""
    faults = []
    ends = any(key in plan.config for key in ("maxTrialNumber", "maxExperimentDuration"))
    for key in ("tuner", "assessor"):
        if isinstance(plan.config.get(key), dict):
            faults += algorithm_faults(key, plan.config[key], plan.path.parent, plan.space, ends)
    if "trainingService" in plan.config:
        faults += service_faults(plan.config["trainingService"])
    return faults + gpu_faults(plan.config) + _folder_faults(plan)


def rehearsal_faults(plan: Plan) -> list[str]:
    """What tuner and assessor raise when they are used, and what trials would refuse of what the tuner
    suggests."""
    rehearsed = rehearse(plan.effective(), plan.config.get("maxTrialNumber"))
    suggested = [fault for point in rehearsed.points for fault in faults_of(_read(plan, False), point)]
    return rehearsed.faults + [f"tuner: suggests what no trial takes: {fault}" for fault in suggested]


def _read(plan: Plan, present: bool) -> Callable[[Mapping[str, Any]], object]:
    return lambda point: parse(parse_arguments(plan.fixed, point), present)


def recipe_faults(plan: Plan, present: bool = True) -> list[str]:
    """What the trials would refuse: each name and number of each choice is tried, pair by pair.

    With `present`, weights that are not on this machine are among it.
    """
    faults: dict[str, None] = {}
    with contextlib.chdir(plan.code if plan.code.is_dir() else "."):  # as for the trials' relative paths
        for point in covering(plan.space):
            faults |= dict.fromkeys(faults_of(_read(plan, present), point))
    weights = [fault for fault in faults if "python -m trial weights" in fault]
    if len(weights) > 1:
        faults[f"all weights at once: python -m trial weights --experiment {plan.path}"] = None
    if WITHOUT_INTERNET in faults:
        del faults[WITHOUT_INTERNET]
        faults[f"{WITHOUT_INTERNET}; here: --set weights=..."] = None
    return list(faults)


def data_faults(plan: Plan) -> list[str]:
    """What is wrong with the photos that the trials would read; each is decoded."""
    folder = plan.code / plan.data
    if not folder.is_dir():
        return [NO_DATA.format(data=folder)]
    from dataset.check import check as check_data
    from dataset.photos import read_train

    faults = faults_of(check_data, folder, with_eval=(folder / "eval").exists(), progress=True)
    if faults:
        return faults
    fixed = [word.partition("=")[2] for word in plan.fixed if word.startswith("corrections=")]
    searched = plan.space.get("corrections", {}).get("_value", [])
    with contextlib.chdir(plan.code):  # as for the trials' relative paths
        for corrections in [*fixed, *searched]:
            if corrections and isinstance(corrections, str):  # what else it is has been refused
                faults += faults_of(read_train, folder, corrections)
    return faults


def _folder_faults(plan: Plan) -> list[str]:
    faults = []
    for key, folder in (("trialCodeDirectory", plan.code), ("experimentWorkingDirectory", plan.runs)):
        if folder.exists() and not folder.is_dir():
            faults.append(f"{key}: {folder} is a file, not a folder")
        # NNI writes these into its scripts without quotes.
        if strange := re.search(r"[^\w@%+=:,./-]", str(folder)):
            faults.append(f"{key}: NNI can't run trials in {folder}: {strange[0]!r} is in the path; move it")
    if not (plan.code / "trial" / "__main__.py").is_file():
        faults.append(f"trialCodeDirectory: {plan.code} is not this project's folder: it has no trial/")
    return faults
