"""Every shipped experiment tried at a tiny size on drawn people.

The values of each search space are trained in this process: all of short lists, some of lists of dozens, with
the number of those that are left out. Each pair of tuner and assessor also runs two trials through NNI, in
the first experiment that has it: NNI's manager is slower to start than a trial.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from analysis.trials.nni_database import recorded_trials
from common.errors import UsageError, errors_of
from common.machine import PROJECT, shipped
from dataset.face_masks.drawing.synthetic import draw
from experiments.checks.ports import any_port
from experiments.checks.space import each_value, values_of
from experiments.plan import Plan, read_plan
from trial.commands.arguments import parse_arguments
from trial.config import TrialConfig, parse
from trial.run_folder.record import RunFolder, RunWriter

NNI_TRIALS = 2
SIDES, NEXT_SIDE = (32, 64), 16  # of images; some networks need the larger; what each further size adds
TINY = (
    "epochs=2", "weights=none", "batch_size=64", "patience=0", "train_fraction=0.1", "threads=1",
    "cache_limit=0",
)  # fmt: skip
OWN = ("group=", "corrections=", "pseudo_labels=", "teacher=none")  # what fits a person's own photos only
NETWORK = "model=test_resnet.r160_in1k"  # of experiments that don't search it
MAX_VALUES = 12  # of one field; if it has more, evenly spaced ones are trained
MAX_NETWORKS = 6  # of the field model: large ones take seconds, and the tests train all kinds
SECONDS = 600  # for two trials through NNI


def smoke(yamls: Iterable[Path] = (), people: int = 30) -> bool:
    """Print a line for each YAML (default: all shipped ones); True if all of their trials finished."""
    all_done = True
    tried: set[tuple[Any, Any]] = set()
    with tempfile.TemporaryDirectory(prefix="smoke-") as made:
        folder = Path(made)
        data = draw(folder / "people", people, height=128, width=96)
        for path in yamls or shipped("experiments", "*.yaml"):
            began = time.monotonic()
            plan, errors = read_plan(path)
            what = []
            if plan is not None and not errors:
                plan = _tiny(plan, data)
                if (pair := (_algorithm(plan, "tuner"), _algorithm(plan, "assessor"))) not in tried:
                    tried.add(pair)
                    errors = _run_through_nni(plan, folder)
                    what = [f"{NNI_TRIALS} trials through NNI"]
                number, left_out, more = _train_each_value(plan, folder)
                errors = [*errors, *more]
                what += [f"{number} recipes trained" + (f", without {left_out}" if left_out else "")]
            result = "; ".join(dict.fromkeys(errors)) or f"ok, {' and '.join(what)}"
            print(f"{path.name}: {result}, {time.monotonic() - began:.0f} s", flush=True)
            all_done = all_done and not errors
    return all_done


def _tiny(plan: Plan, data: Path) -> Plan:
    """The plan on the photos in `data` with short trials and the smallest images that its networks take."""
    for side in SIDES:
        settings, space = [*TINY, *OWN, f"data={data}"], dict(plan.space)
        if "image_size" in space:
            number = len(space["image_size"]["_value"])
            sizes = [f"{side + i * NEXT_SIDE}x{side + i * NEXT_SIDE}" for i in range(number)]
            space["image_size"] = {"_type": "choice", "_value": sizes}
        else:
            settings.append(f"image_size={side}x{side}")
        if "model" not in space:
            settings.append(NETWORK)
        tiny = replace(plan, space=space).with_settings(settings)
        if not any(errors_of(_read, tiny, point) for point in each_value(values_of(tiny.space))):
            break
    return tiny


def _read(plan: Plan, point: Mapping[str, Any]) -> TrialConfig:
    return parse(parse_arguments(plan.fixed, point))


def _algorithm(plan: Plan, key: str) -> Any:
    """What names the tuner or assessor, whatever its arguments."""
    given = plan.config.get(key) or {}
    return given.get("name") or given.get("className")


def _train_each_value(plan: Plan, folder: Path) -> tuple[int, str, list[str]]:
    """(number of recipes, what is left out, errors) of training recipes in which each value of the space
    appears; of more than MAX_VALUES or MAX_NETWORKS of one field, that number."""
    errors = []
    values = values_of(plan.space)
    tried = {
        field: _evenly(of_it, MAX_NETWORKS if field == "model" else MAX_VALUES)
        for field, of_it in values.items()
    }
    left_out = [
        f"{len(of_it) - len(tried[field])} of {len(of_it)} values of {field}"
        for field, of_it in values.items()
        if len(tried[field]) < len(of_it)
    ]
    points = list(each_value(tried))
    for point in points:
        try:
            _train(_read(plan, point), folder / "run")
        except UsageError as error:
            errors += error.errors
        except Exception as error:
            errors.append(f"{point}: {type(error).__name__}: {error}")
        shutil.rmtree(folder / "run", ignore_errors=True)
    return len(points), " and ".join(left_out), errors


def _evenly(values: Sequence[Any], number: int) -> Sequence[Any]:
    """At most `number` of the values, evenly spaced, the first and the last among them."""
    if len(values) <= number:
        return values
    return [values[round(i * (len(values) - 1) / (number - 1))] for i in range(number)]


def _train(config: TrialConfig, folder: Path) -> None:
    from trial.run import run  # torch is imported here, not for a YAML that can't be read

    writer = RunWriter(folder, config)
    run(config, writer, lambda report: None)
    writer.end("done")


def _run_through_nni(plan: Plan, folder: Path) -> list[str]:
    """The errors of two trials by `python -m experiments run`, two at a time."""
    runs = folder / "experiments"
    config = plan.with_trials(NNI_TRIALS).effective() | {
        "trialConcurrency": NNI_TRIALS,
        "maxTrialNumber": NNI_TRIALS,
        "experimentWorkingDirectory": str(runs),
    }
    path = folder / plan.path.name
    path.write_text(yaml.safe_dump(config, sort_keys=False, allow_unicode=True))
    command = [sys.executable, "-m", "experiments", "run", str(path)]
    command += ["--port", str(any_port())]  # others may be at work on this machine
    # NNI's list of experiments is kept in HOME: the person's own is left as it is.
    errors = _errors_of(command, os.environ | {"HOME": str(folder)})
    found = [folder for folder in runs.glob("*") if (folder / "db").is_dir() and not folder.is_symlink()]
    trials = [RunFolder(one / "trials" / trial.trial) for one in found for trial in recorded_trials(one)]
    for trial in trials:
        if (status := trial.status())["state"] != "done":
            errors.append(f"trial {trial.folder.name} {status['state']}: {status['reason']}")
    if not errors and len(trials) != NNI_TRIALS:
        errors.append(f"{len(trials)} trials ran, not {NNI_TRIALS}")
    shutil.rmtree(runs, ignore_errors=True)  # the next one finds its own only; and weights are large
    return errors


def _errors_of(command: list[str], environ: Mapping[str, str]) -> list[str]:
    """[] if the command ends with exit 0 within SECONDS, else what it prints on stderr."""
    pipe, late = subprocess.PIPE, ""
    with subprocess.Popen(
        command, cwd=PROJECT, env=environ, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True
    ) as process:
        try:
            _, err = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            late = f"not done after {SECONDS} s; "
            process.send_signal(signal.SIGINT)  # it ends its server itself
            try:
                _, err = process.communicate(timeout=120)
            except subprocess.TimeoutExpired:
                process.kill()
                _, err = process.communicate()
    if late or process.returncode:
        return [f"{late}exit {process.returncode}: {err.strip()[-1500:]}"]
    return []
