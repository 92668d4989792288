"""Go on with an experiment that was stopped, killed or finished, and watch it to its end."""

import contextlib
import json
import logging
import math
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from analysis.trials.chosen import read_or_damage
from analysis.trials.outcomes import outcomes
from analysis.trials.table import argument_of, find
from common.errors import UsageError
from common.files import is_taken, only_writer
from common.machine import PROJECT
from common.nni_database import database
from common.nni_yaml import IN_SERVICE, read_file
from common.text import path_text
from experiments import server
from experiments.check import plan_errors, recipe_errors, with_machines
from experiments.checks.ports import port_errors
from experiments.checks.space import space_errors
from experiments.checks.yaml_keys import seconds
from experiments.clean import read_keep
from experiments.machines.listed import Machine, read_machines
from experiments.machines.remote import MACHINES, fetch_all
from experiments.plan import STINTS
from experiments.progress import clock, spent
from experiments.run import FINAL, ExperimentResult, on_machines, watched
from experiments.saved.experiment import Saved, change, read_saved, space_at_start, with_paths_of_today
from experiments.server import Server
from experiments.trouble import log_sizes
from trial.config import NO_DATA
from trial.run_folder.record import RunFolder
from trial.run_folder.resume import other_data

logger = logging.getLogger(__name__)
# What NNI's own tuners know after a resume.
KNOWS = {
    "gridsearch": "GridSearch goes on with the combinations that have not begun",
    "tpe": "TPE knows the finished trials, not those that were stopped or failed",
    "random": "Random draws on",
    "evolution": "Evolution forgets what it measured: it begins again with a random population",
}


def resume_experiment(
    wanted: str,
    port: int | None = None,
    trials: int | None = None,
    hours: float | None = None,
    machines: Path | None = None,
    without_failing: bool = False,
    with_retrain: bool = False,
) -> ExperimentResult:
    """Go on with the experiment that `find` finds by `wanted`, and watch it as `run_plan` does.

    Trials that were at work when it ended are run again. `trials`: how many more begin, besides these; None:
    as many as are missing of the number that it was started for. `hours`: how much longer it runs.
    `machines`: those that the trials run on from now on; None: the same as before; `without_failing`: as in
    `check`; `with_retrain`: whether the caller retrains the best recipe into FINAL afterwards. UsageError if
    it still runs, is finished and gets nothing more to do, or can't go on, or if FINAL would be overwritten.
    """
    saved = read_saved(_folder(wanted))
    if saved.id in server.running():
        raise UsageError(
            f"{saved.id}: still runs; stop it first: Ctrl-C where it was started, or "
            f"{path_text(server.NNICTL)} stop {saved.id}"
        )
    if with_retrain and is_taken(final := saved.folder / FINAL):
        raise UsageError(
            f"{path_text(final)}: already exists, by an earlier retraining; move it away, or leave out "
            "--with-retrain"
        )
    with only_writer(saved.folder):  # two at a time would both find that it does not run
        if machines is None and (saved.folder / MACHINES).is_file():
            machines = saved.folder / MACHINES
        listed = read_machines(machines) if machines else ()
        return _resume(read_saved(saved.folder), port, trials, hours, listed, without_failing, with_retrain)


def _resume(
    saved: Saved,
    port: int | None,
    trials: int | None,
    hours: float | None,
    machines: Sequence[Machine],
    without_failing: bool,
    with_retrain: bool,
) -> ExperimentResult:
    saved, plan_note = with_paths_of_today(saved)
    saved = replace(saved, params=_with_space(saved))
    errors = [*_errors(saved, not machines), *port_errors(port)]
    if errors:
        raise UsageError(dict.fromkeys(errors))
    if machines:
        on = with_machines(saved.plan, machines, without_failing)
        saved = replace(saved, params=_on(saved.params, on.service()))
        fetch_all(saved.folder, on.machines, remove=True)  # a kill left their run folders there
    again, limited = saved.unfinished(), saved.params.get("maxExperimentDuration")
    try:
        saved = replace(saved, params=_with_more(saved, len(again), trials, hours))
    except UsageError:  # nothing starts that would tell them
        if not again and saved.done_unnoticed():
            _notice(saved)
        raise
    endless = limited is not None and saved.params.get("maxExperimentDuration") is None
    no_limit = f"they take as long as they need: the limit of {limited} does not count any more"
    tells = _tells(saved, len(again), hours)
    for note in (plan_note, _other_data(saved), _knows(saved), tells, no_limit if endless else ""):
        if note:
            logger.info(note)
    tried = [trial.parameters for trial in saved.trials] if saved.plan.is_grid_search else ()
    change(saved, saved.params, again, tried)
    logs = log_sizes(saved.folder)

    listed = on.machines if machines else ()
    plan = replace(saved.plan, keep=read_keep(saved.folder), machines=listed, retrains=with_retrain)

    def start(chosen: int, environ: Mapping[str, str]) -> Server:
        return on_machines(partial(server.resume, saved.folder, chosen), chosen, plan, environ)

    end = None if hours is None else time.monotonic() + hours * 3600
    ends = None if end is None else lambda state: end
    return watched(start, plan, port, ends, saved.seconds, logs)


def _on(params: Mapping[str, Any], service: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration with the `service` of a plan on other machines. NNI's manager reads what IN_SERVICE
    lists in the trainingService, to which nnictl copies it at the first start only."""
    whole = {**params, **service}
    inside = {key: whole[key] for key in IN_SERVICE if whole.get(key) is not None}
    return whole | {"trainingService": inside | service["trainingService"]}


def _notice(saved: Saved) -> None:
    """Tell NNI's database and the study of trials that were done in the second of a kill, as a start
    would."""
    change(saved, saved.params, ())
    if not saved.plan.is_ours:
        return
    order = {"space": saved.params["searchSpace"], "arguments": saved.plan.arguments}
    done = subprocess.run(
        [sys.executable, "-m", "tuners.settle", str(saved.folder)],
        cwd=PROJECT, input=json.dumps(order), capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        logger.warning(f"the study was not brought up to date: {done.stderr.strip().rpartition(chr(10))[2]}")


def _folder(wanted: str) -> Path:
    try:
        return find(wanted).folder
    except UsageError:
        if (folder := Path(wanted)).is_dir():
            text = f"{path_text(folder)}: holds no experiment: there is no {database(Path())}"
            raise UsageError(text) from None
        raise


def _with_space(saved: Saved) -> dict[str, Any]:
    """The configuration with the space that is searched. Search keeps the one that it began with: a change on
    NNI's page had no effect."""
    first = space_at_start(saved)
    return saved.params | {"searchSpace": first} if saved.plan.is_ours and first else saved.params


def _errors(saved: Saved, here: bool) -> list[str]:
    """Why the experiment can't go on; `here`: whether on this machine."""
    plan = saved.plan
    if errors := space_errors(plan.space):
        return [
            f"{path_text(database(saved.folder))}: is damaged: its search space: {error}" for error in errors
        ]
    errors = plan_errors(plan, here)
    if plan.pauses and not here:
        errors.append(
            f"{saved.id}: pauses trainings, and a checkpoint can't go on on another machine; start another "
            f"experiment with --machines and warm_start: [{saved.id}]"
        )
    if not plan.fixed:
        errors.append(
            f"{saved.id}: its trials are not 'python -m trial key=value ...'; nnictl resume goes on"
        )
    else:
        photos = plan.code / plan.data
        if not photos.is_dir():
            errors.append(NO_DATA.format(data=photos))
        errors += recipe_errors(plan) if not errors else []
    if plan.path.is_file():
        written, more = read_file(plan.path)
        space = written.get("searchSpace") if isinstance(written, dict) else None
        errors += more
        if space is not None and space != plan.space:
            errors.append(
                f"{path_text(plan.path)}: says another search space than the one that is searched; a search "
                f"keeps its space: put it back, or start another experiment with warm_start: [{saved.id}]"
            )
    return errors


def _other_data(saved: Saved) -> str:
    """A warning if photos or labels are no longer those of the latest trial; '' if they are. It is no error:
    photos to predict, which change no score, are part of a data set, too."""
    plan = saved.plan
    runs = (RunFolder(saved.folder / "trials" / one.trial) for one in reversed(saved.trials))
    with contextlib.chdir(plan.code):  # relative paths are relative to where trials run
        for run in runs:
            with contextlib.suppress(OSError, UsageError):  # it has not begun, or is damaged
                other = other_data(run, run.config().recipe(), plan.data)
                text = (
                    f"WARNING: trial {run.folder.name} {other}. Unless only photos to predict have changed, "
                    "the scores from now on can't be compared with those so far; another experiment with "
                    f"warm_start: [{saved.id}] would learn from their ranks"
                )
                return text if other else ""
    return ""


def _with_more(saved: Saved, again: int, trials: int | None, hours: float | None) -> dict[str, Any]:
    """The configuration with the number of trials and the duration that it gets, and a tuner that draws other
    recipes than before. UsageError if there is nothing left to do."""
    params, plan = dict(saved.params), saved.plan
    begun, asked = len(saved.trials), plan.config.get("maxTrialNumber")
    arguments = dict(plan.arguments)
    limits = {"maxExperimentDuration": seconds(plan.config.get("maxExperimentDuration"))}
    if plan.is_ours and "hours" in arguments and not again:  # NNI runs those, whatever the tuner says
        limits["hours"] = 3600 * arguments["hours"]
    wanted, done = arguments.get("trainings"), float(begun - again)
    trained = trainings_spent(saved) if wanted is not None or plan.pauses else 0.0
    if wanted is not None and (plan.pauses or trained >= wanted):  # what pauses ends in parts, counted by NNI
        done, asked = trained, wanted
    is_full = asked is not None and done >= asked and not again
    if is_full and trials is None and hours is None:
        name = argument_of(saved.folder)
        raise UsageError(
            f"{saved.id}: all its {asked:g} trials have begun and ended; more of them: "
            f"python -m experiments resume {name} --trials 10 (or --hours 1)"
        )
    over = [name for name, limit in limits.items() if limit is not None and saved.seconds >= limit]
    if over and hours is None and trials is None:
        raise UsageError(
            f"{saved.id}: has run for {clock(saved.seconds)}, its {over[0]}; --hours 1 gives it one more "
            "hour, --trials 10 ten more trials"
        )
    if hours is not None:
        params["maxExperimentDuration"] = f"{round(saved.seconds + hours * 3600)}s"
        if plan.is_ours:  # it counts those of all starts
            arguments["hours"] = round(saved.seconds / 3600 + hours, 5)
    if trials is not None or (hours is not None and is_full):
        params.pop("maxTrialNumber", None)
        arguments.pop("trainings", None)
        if hours is None:  # the time that was given may be over, or too short for these
            params.pop("maxExperimentDuration", None)
            arguments.pop("hours", None)
        if trials is not None and plan.pauses:
            arguments["trainings"] = math.ceil(100 * (trained + again + trials) - 1e-6) / 100
            params["maxTrialNumber"] = begun + STINTS * trials
        elif trials is not None:
            params["maxTrialNumber"] = begun + trials
    if not plan.is_ours and isinstance(arguments.get("seed"), int):
        arguments["seed"] += begun  # with the same seed it would draw the same recipes again
    if arguments != plan.arguments:
        params["tuner"] = params["tuner"] | {"classArgs": arguments}
    return params


def trainings_spent(saved: Saved) -> float:
    """What the recipes of a search have taken of its `trainings`, without those that are run again, each of
    which counts as a whole one."""
    again = {trial.trial for trial in saved.unfinished()}
    recipes = outcomes(saved.folder, read_or_damage(saved.folder)[0])
    ended = (one for one in recipes if again.isdisjoint(t.recorded.trial for t in (one, *one.earlier)))
    return sum(map(spent, ended), 0.0)


def _knows(saved: Saved) -> str:
    """A sentence on what a tuner of others knows after a resume."""
    tuner = saved.plan.config["tuner"]
    if saved.plan.is_ours:
        return ""
    name = str(tuner.get("name") or tuner.get("className"))
    return KNOWS.get(name.lower(), f"{name} is told of the finished trials (import_data)")


def _tells(saved: Saved, again: int, hours: float | None) -> str:
    total = saved.params.get("maxTrialNumber")
    trainings = saved.plan.arguments.get("trainings")
    parts = ["1 trial has begun" if len(saved.trials) == 1 else f"{len(saved.trials)} trials have begun"]
    if again:
        parts.append(f"{again} of them run again")
    if trainings is not None and saved.plan.pauses:  # NNI counts parts of them
        left = max(trainings - trainings_spent(saved) - again, 0)
        parts.append(f"{left:.3g} more trainings follow")
    elif total is not None:
        parts.append(f"{max(total - len(saved.trials), 0)} more follow")
    else:
        parts.append("as many more as there is time for")
    if hours is not None:
        parts.append(f"for {hours:g} hours at most")
    code = saved.plan.code
    return ", ".join(parts) + ("" if code == PROJECT else f"; they run in {code}")
