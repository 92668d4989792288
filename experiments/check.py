"""Check an experiment's YAML, space, data, weights and port before anything starts; report all mistakes."""

import contextlib
import importlib.util
import logging
import math
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from analysis.trials.repeats import REPEATED
from common.errors import UsageError, errors_of
from common.kinds import is_number
from dataset.face_masks.corrections import SHIPPED
from experiments.checks.algorithms import algorithm_errors
from experiments.checks.disk import Need, need
from experiments.checks.folds import fold_errors
from experiments.checks.gpu_memory import memory_of
from experiments.checks.known import known_recipes
from experiments.checks.ports import port_errors
from experiments.checks.queue import MODULE, queue_errors
from experiments.checks.rehearsal import Rehearsed, rehearse
from experiments.checks.services import gpu_errors, service_errors
from experiments.checks.space import covering, each_value, sound, space_errors, values_of
from experiments.checks.spelling import spelling_errors
from experiments.checks.walltime import walltime_errors
from experiments.checks.yaml_keys import key_errors
from experiments.machines.inspect import Order, usable
from experiments.machines.listed import Machine, read_machines
from experiments.plan import STINTS, Plan, read_plan
from trial.aliases import current_field
from trial.commands.arguments import parse_arguments
from trial.config import FIELDS, NO_DATA, NO_OUT, TrialConfig, effect_errors, parse, task_errors
from trial.data.pseudo_labels import held_out_words, refuse_known
from trial.models.weights import BY_SET, WITHOUT_INTERNET, with_sources

logger = logging.getLogger(__name__)


def check(
    path: Path,
    data: Path | None = None,
    port: int | None = None,
    settings: Iterable[str] = (),
    trials: int | None = None,
    keep: int | None = None,
    machines: Path | None = None,
    without_failing: bool = False,
) -> Plan:
    """The plan in the YAML at `path`, with `data`, `settings` (`key=value`), the number of `trials` and of
    those that `keep` their networks set, and the `machines` (a machines.yaml) that they run on.

    Each machine is asked whether it can run them, once nothing else is wrong; `without_failing` leaves out
    those that can't. UsageError lists every error. A port that is in use is an error only if `port` asks for
    it; without `port` a free one is chosen later.
    """
    settings = list(settings)
    errors = [f"--set {word}: is not key=value" for word in settings if "=" not in word]
    if importlib.util.find_spec("nni") is None:
        errors.append("NNI is not installed here (it has no build for ARM); searches need an x86-64 machine")
    plan, more = read_plan(path)
    errors += more
    listed: tuple[Machine, ...] = ()
    if machines is not None:
        try:
            listed = read_machines(machines)
        except UsageError as error:
            errors += error.errors
    if plan is not None:
        if data is not None:
            settings.append(f"data={data.resolve()}")
        wrong_keys, wrong_space = key_errors(plan.config) or budget_errors(plan), space_errors(plan.space)
        errors += wrong_keys + wrong_space
        if trials is not None and not wrong_keys:
            plan = plan.with_trials(trials)
        # A mistake in the space does not hide the others.
        errors += [
            error
            for key in plan.space
            if current_field(key) not in FIELDS
            for error in errors_of(parse, {key: None}, False)
        ]
        whole, plan = plan, replace(plan, space=sound(plan.space), keep=keep)
        if machines is not None and not wrong_keys:
            plan = plan.without_pauses()
        plan = plan.with_settings(word for word in settings if "=" in word)
        errors += plan_errors(plan, machines is None)
        if whole.space and not wrong_space and not plan.space:
            errors.append(
                f"{' '.join(f'--set {word}' for word in settings)}: nothing is left to search; train this "
                "one recipe by python -m trial, or search another field"
            )
        errors += recipe_errors(plan) + data_errors(plan)
        if not errors:
            if _reads_recipes(plan):
                errors += spelling_errors(plan.space)
            plan, known = with_known_recipes(plan)
            rehearsed = rehearse(plan.effective(), plan.config.get("maxTrialNumber"))
            needed = disk_need(plan)
            errors += rehearsal_errors(plan, rehearsed) + needed.errors() + walltime_errors(plan)
            memory = None if errors or listed else memory_of(plan, _recipes(plan))
            if memory:
                errors += memory.errors(plan.config["trainingService"].get("maxTrialNumberPerGpu") or 1)
            lines = [needed.line(), memory.line() if memory else ""]
            notes = (*end_notes(plan), *lucky_notes(plan), *known, *rehearsed.warnings, *filter(None, lines))
            plan = replace(plan, notes=notes, first=next(iter(rehearsed.points), {}))
            if listed and not errors:
                plan = with_machines(plan, listed, without_failing)
    errors += port_errors(port)
    if errors or plan is None:
        raise UsageError(dict.fromkeys(errors))
    return plan


def budget_errors(plan: Plan) -> list[str]:
    """What our tuner can't spend. It says so itself, but the plan computes with it first."""
    if not plan.is_ours:
        return []
    errors = []
    for name in ("trainings", "hours"):
        value = plan.arguments.get(name)
        if value is not None and not (is_number(value) and 0 < value < math.inf):
            text = f"tuner.classArgs.{name}: {value!r} is not a number above 0"
            with contextlib.suppress(ValueError):
                text += f"; write {float(value):g}" if isinstance(value, str) else ""  # 1e1 is text for YAML
            errors.append(text)
    return errors


def lucky_notes(plan: Plan) -> list[str]:
    """A note if seeds or folds are searched and the tuner does not train each recipe with all of them: then
    single trials are ranked, the luckiest first."""
    if plan.is_grid_search or plan.arguments.get("sampler") == "grid":
        return []
    values = values_of(plan.space)
    found = [key for key in values if current_field(key) in REPEATED and len(values[key]) > 1]
    if not found or len(found) == len(plan.space):
        return []
    names = " and ".join(found)
    return [
        f"search space: this tuner does not train each recipe with every {names}, so the best trial may be a "
        f"lucky one: fix {names} (--set) and compare the leaders by python -m analysis confirm, or search a "
        "grid"
    ]


def end_notes(plan: Plan) -> list[str]:
    """A note if NNI's number of trials may end a search that pauses trainings before all are spent, or if
    nothing else ends it: hopeful ones may be left paused."""
    parts = plan.config.get("maxTrialNumber")
    if not plan.pauses or parts is None:
        return []
    counts = (
        f"tuner: NNI counts each part of a paused training, so maxTrialNumber={parts} may end this search"
    )
    if (trainings := plan.arguments.get("trainings")) is not None:
        if parts >= STINTS * trainings:
            return []
        enough = math.ceil(STINTS * trainings)
        return [f"{counts} before {trainings:g} trainings are spent; give maxTrialNumber: {enough}"]
    if "maxExperimentDuration" in plan.config or "hours" in plan.arguments:
        return []
    fitting = max(1, parts // STINTS)
    return [f"{counts} with hopeful recipes paused; give classArgs: {{trainings: {fitting}}}, or hours"]


def _reads_recipes(plan: Plan) -> bool:
    """Whether our tuner compares the space with recipes in files, which are written in the trial's words."""
    first = plan.arguments.get("first") or []
    named = isinstance(first, str) or any(isinstance(one, str) for one in first)
    return plan.is_ours and bool(plan.arguments.get("warm_start") or named)


def with_known_recipes(plan: Plan) -> tuple[Plan, list[str]]:
    """The plan whose search asks the project's known good recipes first, and notes on them."""
    if not plan.is_ours:
        return plan, []
    first = plan.arguments.get("first") or []
    first = first if isinstance(first, list) else [first]
    with contextlib.chdir(plan.code):
        known = known_recipes(plan.space, plan.fixed, first, plan.number)
    return plan.with_tuner(first=[*first, *known.points] or None), known.notes


def with_machines(plan: Plan, machines: Sequence[Machine], without_failing: bool = False) -> Plan:
    """The plan on those of the `machines` that can run its trials; UsageError if one can't, unless
    `without_failing` leaves it out."""
    if MODULE in plan.start:
        raise UsageError(
            f"trialCommand: trials are jobs of a queue ({MODULE}) or run on --machines, not both"
        )
    if local := fields_with_files(plan):
        raise UsageError(
            f"{', '.join(local)}: name files of this machine, which others need not have; leave them out "
            "with --machines (corrections=competition is fine)"
        )
    if not any(word.startswith("data=") for word in plan.fixed):
        plan = replace(plan, fixed=(*plan.fixed, f"data={plan.data}"))
    if "'" in shlex.join(plan.fixed):  # NNI puts the command between such
        quoted = next(word for word in plan.fixed if "'" in shlex.quote(word))
        raise UsageError(f"trialCommand: NNI can't start {quoted!r} on other machines: it needs quotes")
    with contextlib.chdir(plan.code):
        networks = {
            pair for one in _recipes(plan) if not errors_of(with_sources, one.model, one.weights)
            for pair in with_sources(one.model, one.weights)
        }  # fmt: skip
    order = Order(plan.data, str(plan.code / plan.data), tuple(sorted(networks)), disk_need(plan).bytes or 0)
    found, table = usable(machines, order, without_failing)
    logger.info(table)
    config = plan.config | {"trialConcurrency": sum(one.machine.trials for one in found)}
    return replace(plan, config=config, machines=tuple(found))


def fields_with_files(plan: Plan) -> list[str]:
    """Fields by which a trial reads files beside photos and weights."""
    found: dict[str, None] = {}
    for one in _recipes(plan):
        files = {
            "corrections": one.corrections not in ("", *SHIPPED),
            "pseudo_labels": one.pseudo_labels != "",
            "teacher": one.teacher.name != "none",
        }
        found |= {name: None for name, reads in files.items() if reads}
    return list(found)


def plan_errors(plan: Plan, here: bool = True) -> list[str]:
    """Errors in tuner, assessor, trainingService, queue, GPUs and folders; `here`: whether the trials run on
    this machine."""
    errors = []
    ends = any(key in plan.config for key in ("maxTrialNumber", "maxExperimentDuration"))
    for key in ("tuner", "assessor"):
        if isinstance(plan.config.get(key), dict):
            errors += algorithm_errors(key, plan.config[key], plan.path.parent, plan.space, ends)
    if "trainingService" in plan.config:
        errors += service_errors(plan.config["trainingService"])
    errors += queue_errors(plan.config, plan.start, plan.code)
    folds = ((one.fold, one.fold_order, one.folds) for one in _recipes(plan))
    errors += fold_errors(plan.config.get("assessor"), folds)
    return errors + gpu_errors(plan.config, here) + _folder_errors(plan)


def _recipes(plan: Plan) -> Iterator[TrialConfig]:
    """Recipes in which each value of the space appears, without those that a trial refuses."""
    for point in each_value(values_of(plan.space)):
        recipe = None
        with contextlib.chdir(plan.code if plan.code.is_dir() else "."), contextlib.suppress(UsageError):
            recipe = _read(plan, False)(point)
        if recipe:
            yield recipe


def disk_need(plan: Plan) -> Need:
    """The disk space that the trials may need."""
    number = plan.number
    networks = [(one.model, one.weights, len(one.fold_numbers)) for one in _recipes(plan)]
    # A paused training keeps its checkpoint; half of them are assumed to be paused.
    at_once = math.ceil((number or 0) / 2) if plan.pauses else plan.config["trialConcurrency"]
    with contextlib.chdir(plan.code):  # the weights' relative paths are relative to where trials run
        trials = None if number is None else math.ceil(number)
        return need(plan.runs, networks, trials, at_once, plan.keep)


def rehearsal_errors(plan: Plan, rehearsed: Rehearsed) -> list[str]:
    """What the tuner and the assessor raise when used, and the tuner's suggestions that a trial refuses."""
    suggested = [error for point in rehearsed.points for error in errors_of(_read(plan, False), point)]
    return rehearsed.errors + [f"tuner: suggests what a trial refuses: {error}" for error in suggested]


def _read(plan: Plan, present: bool) -> Callable[[Mapping[str, Any]], TrialConfig]:
    return lambda point: parse(parse_arguments(plan.fixed, point), present)


def recipe_errors(plan: Plan, present: bool = True) -> list[str]:
    """What the trials would refuse: each pair of values of the space is tried.

    With `present`, weights that are missing on this machine are errors, too.
    """
    errors: dict[str, None] = {}
    labels = dict[tuple[str, str], TrialConfig]()
    with contextlib.chdir(
        plan.code if plan.code.is_dir() else "."
    ):  # relative paths are relative to where trials run
        for point in covering(plan.space):
            try:
                config = _read(plan, present)(point)
            except UsageError as error:
                errors |= dict.fromkeys(error.errors)
                continue
            if not present:
                errors |= dict.fromkeys(effect_errors(config))
            if config.out:
                errors[NO_OUT.format(out=config.out)] = None
            if config.pseudo_labels and present:
                labels[config.pseudo_labels, held_out_words(config.recipe())] = config
        for config in labels.values():
            errors |= dict.fromkeys(errors_of(refuse_known, Path(config.pseudo_labels), config.recipe()))
    weights = [error for error in errors if "python -m trial weights" in error]
    if len(weights) > 1:
        errors[f"all weights at once: python -m trial weights --experiment {plan.path}"] = None
    if WITHOUT_INTERNET in errors:
        del errors[WITHOUT_INTERNET]
        errors[f"{WITHOUT_INTERNET}; here: {BY_SET}"] = None
    return list(errors)


def data_errors(plan: Plan) -> list[str]:
    """Errors in the photos that the trials would read; each photo is decoded."""
    folder = plan.code / plan.data
    if not folder.is_dir():
        return [NO_DATA.format(data=folder)]
    from dataset.check import check as check_data
    from dataset.read import COMPETITION, format_of
    from dataset.split import folds_errors

    try:
        group = str(parse_arguments(plan.fixed).get("group", ""))
        with_eval = (folder / "eval").exists() or format_of(folder) != COMPETITION  # optional in the others
        task, train, _ = check_data(folder, with_eval=with_eval, progress=True, group=group)
    except UsageError as error:
        return error.errors
    errors, of_labels = [], dict[tuple[Any, ...], TrialConfig]()
    for point in covering(plan.space):
        with contextlib.suppress(UsageError):  # has been refused
            config = _read(plan, False)(point)
            errors += task_errors(config, task) + folds_errors(config.folds, train["group"].nunique())
            if config.names_labels:
                held_out = config.pseudo_labels and held_out_words(config.recipe())
                of_labels[config.corrections, config.pseudo_labels, held_out, config.teacher] = config
    if of_labels:
        from trial.recipe import labels  # imports timm, which most searches need not wait for

        with contextlib.chdir(plan.code):  # relative paths are relative to where trials run
            for config in of_labels.values():
                if not errors_of(parse, config.to_json()):  # they have been told
                    errors += errors_of(labels, config, task, train, True)
    return list(dict.fromkeys(errors)) + _features_errors(plan, len(train))


def _features_errors(plan: Plan, photos: int) -> list[str]:
    """Why the cache can't hold the features of this number of `photos` that some trials need."""
    from trial.recipe import features_errors  # imports timm, which most searches need not wait for

    found = dict[tuple[Any, ...], list[str]]()
    for one in _recipes(plan):
        kind = (one.model, one.features, one.init.name, one.cache_limit)
        if kind not in found:
            with contextlib.suppress(UsageError):  # a repository that is missing has been refused
                found[kind] = features_errors(one, photos)
    return list(dict.fromkeys(error for errors in found.values() for error in errors))


def _folder_errors(plan: Plan) -> list[str]:
    errors = []
    for key, folder in (("trialCodeDirectory", plan.code), ("experimentWorkingDirectory", plan.runs)):
        if folder.exists() and not folder.is_dir():
            errors.append(f"{key}: {folder} is a file, not a folder")
        # NNI writes these paths into its scripts without quotes.
        if strange := re.search(r"[^\w@%+=:,./-]", str(folder)):
            errors.append(f"{key}: NNI can't run trials in {folder}: {strange[0]!r} is in the path; move it")
    if not (plan.code / "trial" / "__main__.py").is_file():
        errors.append(f"trialCodeDirectory: {plan.code} is not this project's folder: it has no trial/")
    return errors
