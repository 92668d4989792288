"""The trials of an experiment as NNI's own database records them."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common.errors import UsageError
from common.files import check_kinds
from common.nni_database import profile, query
from trial.advisor import PARENT

OPEN = ("WAITING", "RUNNING", "UNKNOWN")  # NNI's states of trials that have not ended
EVENTS = (*OPEN, "SUCCEEDED", "FAILED", "EARLY_STOPPED", "USER_CANCELED", "SYS_CANCELED", "ADD_CUSTOMIZED")


@dataclass
class Recorded:
    """One trial as NNI recorded it.

    `sequence`: its place in NNI's order (NNI's own numbers are not unique: after a resume it hands out those
    of earlier trials again); `parameters`: the tuner's values; `event`: the latest state (one of EVENTS);
    `by_person`: whether a person stopped it, in NNI's page or by nnictl; `parent`: the trial that it goes on
    from, '' if it began by itself; `parameter_id`: under which the tuner knows it; `damage`: what is wrong
    with NNI's record of it, '' if nothing.
    """

    trial: str
    sequence: int
    parameters: dict[str, Any] = field(default_factory=dict)
    event: str = "WAITING"
    by_person: bool = False
    parent: str = ""
    parameter_id: str = ""
    damage: str = ""

    @property
    def is_open(self) -> bool:
        """Whether it waits or runs in NNI's eyes, or its machine is out of reach."""
        return self.event in OPEN


def recorded_trials(folder: Path) -> list[Recorded]:
    """The trials of the experiment in `folder`, in NNI's order."""
    found: dict[str, Recorded] = {}
    events = query(folder, "select trialJobId, event, data from TrialJobEvent order by rowid")
    for trial, event, data in events:
        if not is_trial(trial):  # of the whole experiment (data imported, say)
            continue
        known = found.setdefault(trial, Recorded(trial, len(found)))
        if event == "USER_TO_CANCEL":  # may follow USER_CANCELED, which the experiment's end writes too
            known.by_person = True
        elif event == "ADD_RESUMED":  # will be started again
            known.event, known.by_person = "WAITING", False
        elif event in EVENTS:
            known.event = event
        elif event != "ADD_HYPERPARAMETER":
            known.damage = f"an event {str(event)[:40]!r}"
        if event == "WAITING" and data is not None:
            _read_values(known, data)
    return list(found.values())


def is_trial(trial: Any) -> bool:
    """Whether this can be a trial's name, which is that of its folder, too."""
    return isinstance(trial, str) and re.fullmatch(r"[\w-]+", trial) is not None


def _read_values(trial: Recorded, data: Any) -> None:
    """Note what the tuner gave to the trial, or that this is damaged."""
    try:
        given = json.loads(data)
        if not isinstance(given, dict):
            raise ValueError("it is not a JSON object")
        check_kinds(given, {"parameters": (dict,), "parameter_id": (int, str)})
    except (ValueError, TypeError, RecursionError) as error:
        trial.damage = f"its values: {error}"
        return
    trial.parameters, trial.parameter_id = given["parameters"], str(given["parameter_id"])
    trial.parent = str(trial.parameters.pop(PARENT, ""))


def experiment_name(folder: Path) -> str:
    """`experimentName` of the experiment's YAML; '' if it has none, or NNI's database is damaged."""
    try:
        return profile(folder).get("experimentName") or ""
    except UsageError:  # the others can still be found
        return ""
