"""How each trial of an experiment ended, and which trial stands for those that it went on from."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from analysis.trials.chosen import PAUSED, RUNNING, Chosen, outcome_of_choice
from analysis.trials.nni_database import Recorded, recorded_trials
from trial.process.signals import OUTSIDE
from trial.run_folder.record import RunFolder
from trial.run_folder.status import INTERRUPTED, STATUS

ALIVE = (RUNNING, "waiting")  # states
BY_NNI = ("EARLY_STOPPED", "USER_CANCELED", "SYS_CANCELED")


@dataclass(frozen=True)
class Outcome:
    """A trial, which may have gone on from earlier ones: then its run folder holds the whole curve.

    `recorded`, `run`, `status`: of the trial itself (see `outcome`); `earlier`: those that it stands for, in
    NNI's order; `chosen`: what the search says of it, if it says anything.
    """

    recorded: Recorded
    run: RunFolder
    status: dict[str, Any]
    earlier: tuple["Outcome", ...] = ()
    chosen: Chosen | None = None

    @property
    def sequence(self) -> int:
        """The number of the first of its trials, so that a recipe keeps its number."""
        return min(one.recorded.sequence for one in (*self.earlier, self))


def outcomes(folder: Path, choices: Sequence[Chosen] = (), stopper: str = "the assessor") -> list[Outcome]:
    """The trials of the experiment in `folder`, in NNI's order; those that another one stands for are left
    out. `choices`: of its chosen.csv; `stopper`: as for `outcome`.

    A trial stands for its parent once it has the parent's epochs, and its score: one that died before it had
    copied them hides nothing, and until then the parent is paused still. Of several that do, the finished
    one counts, else the latest.
    """
    by_trial = {chosen.trial: chosen for chosen in choices}
    found: dict[str, Outcome] = {}
    first: dict[str, str] = {}  # the first trial of each trial's recipe
    for recorded in recorded_trials(folder):
        run = RunFolder(folder / "trials" / recorded.trial)
        one = Outcome(recorded, run, outcome(run, recorded, stopper))
        parent = found.get(str(one.status.get("parent")))  # an earlier one: no circles
        of = parent.recorded.trial if parent and _has_all_of(one.status, parent.status) else recorded.trial
        first[recorded.trial] = first.get(of, of)
        found[recorded.trial] = one
    together: dict[str, list[Outcome]] = {}
    for trial, one in found.items():
        together.setdefault(first[trial], []).append(one)
    alive = {one.recorded.parent: trial for trial, one in found.items() if one.status["state"] in ALIVE}
    return [_still_paused(_latest(trials, by_trial), alive) for trials in together.values()]


def _still_paused(one: Outcome, alive: dict[str, str]) -> Outcome:
    """A trial whose recipe goes on in one of the trials that are `alive`, by their parents."""
    heir = alive.get(one.recorded.trial)
    if heir is None or one.status["state"] != "stopped_early":
        return one
    return replace(one, status=one.status | {"state": PAUSED, "reason": f"goes on as trial {heir}"})


def _has_all_of(status: dict[str, Any], parent: dict[str, Any]) -> bool:
    copied = (status.get("epochs") or 0) >= (parent.get("epochs") or 0)
    return copied and (status.get("score") is not None or parent.get("score") is None)


def _latest(trials: list[Outcome], by_trial: dict[str, Chosen]) -> Outcome:
    """The one of a recipe's trials that stands for all of them."""
    latest = next((one for one in trials if one.status["state"] == "done"), trials[-1])
    known = [latest, *reversed(trials)]
    chosen = next((by_trial[one.recorded.trial] for one in known if one.recorded.trial in by_trial), None)
    status = latest.status | outcome_of_choice(latest.status, chosen)
    earlier = tuple(one for one in trials if one is not latest)
    return replace(latest, status=status, earlier=earlier, chosen=chosen)


def outcome(run: RunFolder, recorded: Recorded, stopper: str = "the assessor") -> dict[str, Any]:
    """The state of a trial and its reason: its run's status.json, completed by what only NNI knows: whether
    it is waiting, and who stopped it. `stopper`: what NNI's EARLY_STOPPED stands for.

    A run whose status is done is done: NNI labels finished trials EARLY_STOPPED too, if the assessor decides
    late. A run that SIGTERM ended is stopped early if NNI sent it, else interrupted.
    """
    started = (run.folder / STATUS).exists()
    if not started and recorded.event == "WAITING":
        return {"state": "waiting", "reason": "waiting for its turn"}
    if not started and recorded.is_open:
        return {"state": "running", "reason": ""}
    status = run.status()
    if status["state"] in ("stopped_early", INTERRUPTED) and status["reason"] == OUTSIDE:
        state = "stopped_early" if recorded.event in BY_NNI or recorded.by_person else INTERRUPTED
        return status | {"state": state, "reason": _who_stopped(recorded, stopper)}
    if not started and recorded.event in BY_NNI:
        reason = f"{_who_stopped(recorded, stopper)}, before it started"
        return {"state": "stopped_early", "reason": reason}
    return status


def _who_stopped(recorded: Recorded, stopper: str) -> str:
    if recorded.by_person:
        return "stopped by a person (NNI's page or nnictl)"
    if recorded.event == "EARLY_STOPPED":
        return f"stopped by {stopper}"
    if recorded.event == "FAILED":
        return "interrupted by a signal (SIGTERM) that was not NNI's"
    return "stopped with the experiment"
