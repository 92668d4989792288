"""The trials of an experiment as NNI's own database records them."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common.errors import UsageError
from common.nni_database import profile, query
from trial.advisor import PARENT

OPEN = ("WAITING", "RUNNING", "UNKNOWN")  # NNI's states of trials that have not ended


@dataclass
class Recorded:
    """One trial as NNI recorded it.

    `sequence`: its place in NNI's order (NNI's own numbers are not unique: after a resume it hands out those
    of earlier trials again); `parameters`: the tuner's values; `event`: the latest state (one of OPEN, or
    SUCCEEDED, FAILED, EARLY_STOPPED, USER_CANCELED, SYS_CANCELED); `by_person`: whether a person stopped it,
    in NNI's page or by nnictl; `parent`: the trial that it goes on from, '' if it began by itself.
    """

    trial: str
    sequence: int
    parameters: dict[str, Any] = field(default_factory=dict)
    event: str = "WAITING"
    by_person: bool = False
    parent: str = ""

    @property
    def is_open(self) -> bool:
        """Whether it waits or runs in NNI's eyes, or its machine is out of reach."""
        return self.event in OPEN


def recorded_trials(folder: Path) -> list[Recorded]:
    """The trials of the experiment in `folder`, in NNI's order."""
    found: dict[str, Recorded] = {}
    events = query(folder, "select trialJobId, event, data from TrialJobEvent order by rowid")
    for trial, event, data in events:
        if not trial:  # of the whole experiment (data imported, say)
            continue
        known = found.setdefault(trial, Recorded(trial, len(found)))
        if event == "USER_TO_CANCEL":  # may follow USER_CANCELED, which the experiment's end writes too
            known.by_person = True
        elif event == "ADD_RESUMED":  # will be started again
            known.event, known.by_person = "WAITING", False
        else:
            known.event = event
        if event == "WAITING" and data:
            known.parameters = _parameters(data)
            known.parent = str(known.parameters.pop(PARENT, ""))
    return list(found.values())


def _parameters(data: str) -> dict[str, Any]:
    """The tuner's values in what NNI recorded of a trial; {} if that is damaged."""
    try:
        return dict(json.loads(data)["parameters"])
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}


def experiment_name(folder: Path) -> str:
    """`experimentName` of the experiment's YAML; '' if it has none, or NNI's database is damaged."""
    try:
        return profile(folder).get("experimentName") or ""
    except UsageError:  # the others can still be found
        return ""
