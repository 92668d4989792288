"""Run an experiment: check its YAML, start it, watch it, stop it."""

import logging
import shlex
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import yaml

from analysis.trials.table import argument_of
from common.errors import UsageError
from common.files import part_of, sweep
from common.text import counted, path_text
from experiments import server
from experiments.checks.ports import DEFAULT, free_port
from experiments.checks.yaml_keys import seconds
from experiments.clean import Keeper, write_keep
from experiments.estimate import Forecast, workloads_in
from experiments.interrupts import Interrupts
from experiments.machines.remote import start_remote
from experiments.mps import shared_gpus
from experiments.plan import PAUSES, Plan
from experiments.progress import Display, State, look
from experiments.server import Server
from experiments.trouble import NEW, disk_full, last_word, tuner_died, why_no_more
from trial.run_folder.record import RunFolder

logger = logging.getLogger(__name__)
LOOK_SECONDS = 1.0
START_SECONDS = 300.0  # limit for the first trial: on a slow disk or a busy machine NNI's imports take long
SETTLE_SECONDS = 3.0  # the tuner's last suggestion may not be in the database yet
IDLE_SECONDS = 60.0  # limit without a running or waiting trial: then the tuner is stuck
FINAL = "final"  # folder of the retrained network, in the experiment's
STARTING = "starting.yaml"  # what NNI is started with; its part is left by a kill
STOP_FEW = ("tuners.search.CannotWin", PAUSES)  # assessors after which most trainings end whole
Ends = Callable[[State], float]
Start = Callable[[int, Mapping[str, str]], Server]  # on a port, with these environment variables


@dataclass(frozen=True)
class ExperimentResult:
    """A stopped experiment. `state`: how its trials ended; `view_command`: opens it in NNI's page again;
    `data`: the folder of its photos; `final`: that of the best recipe, trained on all of them, if it was."""

    id: str
    folder: Path
    state: State
    view_command: str
    data: str
    final: Path | None = None

    @property
    def name(self) -> str:
        """What a command of analysis finds the experiment by."""
        return argument_of(self.folder)


def run_plan(
    plan: Plan,
    port: int | None = None,
    ends: Ends | None = None,
    write: Callable[[Path], None] | None = None,
) -> ExperimentResult:
    """Run the experiment of a plan that `check` returned to its end; its server is stopped in any case.

    `port`: of NNI's page (None: 8080 or the next free one); `ends`: as in `watched`; `write`: writes more
    into the experiment's folder. RuntimeError if NNI fails or no trial finishes. Ctrl-C stops the experiment,
    then raises KeyboardInterrupt.
    """
    config = _write_effective(plan)

    def start(chosen: int, environ: Mapping[str, str]) -> Server:
        running = on_machines(partial(server.start, config, chosen, plan.runs), chosen, plan, environ)
        try:
            config.replace(running.folder / "experiment.yaml")
            if plan.keep is not None:
                write_keep(running.folder, plan.keep)
            if write:
                write(running.folder)
        except BaseException:  # a full disk, say: nobody would watch it
            running.stop()
            raise
        return running

    try:
        return watched(start, plan, port, ends)
    finally:
        config.unlink(missing_ok=True)


def on_machines(start: Callable[..., Server], port: int, plan: Plan, environ: Mapping[str, str]) -> Server:
    """`start` NNI's manager with `environ`; linked to the plan's machines, if it has any."""
    if not plan.machines:
        return start(environ=environ)
    return start_remote(lambda environ: start(environ=environ), port, plan.machines, plan.data)


def watched(
    start: Start,
    plan: Plan,
    port: int | None,
    ends: Ends | None = None,
    seconds_before: float = 0.0,
    logs_before: Mapping[str, int] = NEW,
) -> ExperimentResult:
    """`start` the experiment of `plan` on a port and watch it to its end, as `run_plan` says.

    `ends`: the time (time.monotonic()) at which what is still at work is stopped; `seconds_before`,
    `logs_before`: how long it ran, and the sizes of its logs, before this start.
    """
    sweep(plan.runs / STARTING)
    with Interrupts() as interrupts, shared_gpus(plan) as environ:
        running = _start(lambda chosen: start(chosen, environ), port)
        keeper = Keeper(running.folder, plan.keep)
        try:
            logger.info("experiment %s, %s: %s", plan.name, running.id, running.page)
            with Display(plan.number, forecast(plan, seconds_before)) as display:
                state, trouble = _watch(running, plan, interrupts, display, keeper, ends, logs_before)
        finally:
            logger.info("stopping NNI's server")
            running.stop()
        if plan.machines:  # the networks have come now
            keeper = Keeper(running.folder, plan.keep)
        state = look(running.folder, plan.config.get("maxTrialNumber"))
        keeper.look(state.states["done"])
        if freed := keeper.line():
            logger.info(freed)
        if interrupts.received or trouble:
            logger.info(next_steps(running, state, plan))
    if trouble:
        raise RuntimeError(f"{trouble}; see {path_text(running.folder / 'log')}")
    if not state.states["done"]:
        raise RuntimeError(
            f"no trial finished{_first_reason(running)}; see {path_text(running.folder / 'trials')}"
        )
    return ExperimentResult(running.id, running.folder, state, running.view_command, photos(plan))


def forecast(plan: Plan, seconds_before: float = 0.0) -> Forecast:
    config = plan.config
    limit = seconds(config.get("maxExperimentDuration"))
    assessor = config.get("assessor") or {}
    return Forecast(
        workloads_in(plan.space, plan.fixed),
        config["trialConcurrency"],
        None if limit is None else max(limit - seconds_before, 0.0),
        bool(assessor) and assessor.get("className") not in STOP_FEW,
    )


def photos(plan: Plan) -> str:
    return path_text(plan.code / plan.data)


def next_steps(running: Server, state: State, plan: Plan) -> str:
    """The commands that can follow an experiment that ended early: a line each."""
    data, name = photos(plan), argument_of(running.folder)
    lines = {"its trials": f"python -m analysis trials {name}"}
    if state.states["done"]:
        final = (
            f"python -m analysis export-best-and-retrain {name} --data {shlex.quote(data)} --out out/final"
        )
        lines |= {
            "its best recipe": f"python -m analysis export-best {name} --out recipes/{running.id}",
            "the submission": final,
        }
    go_on = f"python -m experiments resume {name}" + (" --with-retrain" if plan.retrains else "")
    lines |= {"go on with it": go_on, "NNI's page": running.view_command}
    width = max(map(len, lines)) + 1
    ended = counted(state.ended, "trial")
    head = f"ended early: {ended} ended, {state.states['done']} finished; what can be done:"
    return "\n".join([head, *(f"  {what + ':':{width}} {command}" for what, command in lines.items())])


def _start(start: Callable[[int], Server], port: int | None) -> Server:
    """Start on `port`, or on the first free one, up to three times: another experiment may take it first."""
    for tried in range(3):
        chosen = port or free_port(DEFAULT + tried)
        if chosen not in (port, DEFAULT):
            logger.info("port %d is in use: NNI's page goes to %d", DEFAULT, chosen)
        try:
            return start(chosen)
        except UsageError:
            if port or tried == 2:
                raise
    raise AssertionError


def _write_effective(plan: Plan) -> Path:
    plan.runs.mkdir(parents=True, exist_ok=True)
    path = part_of(plan.runs / STARTING)
    path.write_text(yaml.safe_dump(plan.effective(), sort_keys=False, allow_unicode=True))
    return path


def _first_reason(running: Server) -> str:
    for trial in sorted((running.folder / "trials").glob("*")):
        if (status := RunFolder(trial).status())["state"] == "failed":
            return f"; trial {trial.name}: {status['reason']}"
    return ""


def _watch(
    running: Server,
    plan: Plan,
    interrupts: Interrupts,
    display: Display,
    keeper: Keeper,
    ends: Ends | None,
    logs_before: Mapping[str, int],
) -> tuple[State, str]:
    """(last state, trouble): show the progress until the experiment ends, its time is over, a signal is
    received, or it can't go on because of `trouble`; '' if there is none."""
    busy, begun, total = time.monotonic(), False, plan.config.get("maxTrialNumber")
    before = look(running.folder, total)
    while True:
        status = running.status()
        state = look(running.folder, total)
        display.show(state)
        keeper.look(state.states["done"])
        if state.at_work:
            busy, begun = time.monotonic(), True
        begun = begun or state.states.total() > before.states.total()
        idle = time.monotonic() - busy  # seconds
        no_more = status == "TUNER_NO_MORE_TRIAL" and idle > SETTLE_SECONDS
        if status == "DONE" or interrupts.received or no_more:
            if no_more and (why := why_no_more(running.folder, logs_before)):
                logger.info("no more trials begin: %s", why)
            return state, ""
        if ends and time.monotonic() >= ends(state):
            return state, ""
        if died := tuner_died(running.folder, logs_before):
            return state, f"the tuner or the assessor raised {died}"
        if full := disk_full(running.folder):
            return state, full
        if status in ("ERROR", "GONE"):
            what = "NNI reports an error" if status == "ERROR" else "NNI's manager ended on its own"
            word = last_word(running.folder, logs_before)
            return state, f"{what}{word and f': {word}'}"
        if idle > (limit := IDLE_SECONDS if begun else START_SECONDS):
            return state, f"no trial runs and none was begun for {limit:.0f} s: the tuner suggests nothing"
        interrupts.sleep(LOOK_SECONDS)
