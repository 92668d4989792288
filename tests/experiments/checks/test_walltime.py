"""A job that is shorter than an epoch is refused, if an earlier search or the pilot has measured one."""

import json

import pytest
import torch

from common.errors import UsageError
from experiments.check import check
from experiments.checks.walltime import queue_of, too_short, walltime_errors
from experiments.hours import budget
from experiments.hours.pilot import Pilot
from experiments.plan import read_plan
from experiments.queues.job import Queue
from tests.experiments.checks.test_gpu_memory import write_experiment
from tests.experiments.checks.test_queue import with_queue
from tests.experiments.conftest import errors
from trial.config import parse
from trial.process.compute import Compute


def searched(plan, name, seconds, device="cpu", **other):
    """An earlier experiment, whose trials took these seconds an epoch."""
    folder = plan.runs / name
    write_experiment(folder, json.loads(json.dumps(plan.effective())) | other, [0] * len(seconds))
    cpu = Compute(torch.device("cpu"), torch.float32, 0)
    for number, second in enumerate(seconds):
        run = folder / "trials" / str(number)
        origin = {"data_fingerprint": "", "compute": cpu.to_json() | {"device": device}}
        (run / "origin.json").write_text(json.dumps(origin))
        (run / "epochs.csv").write_text(f"fold,epoch,seconds\n0,1,{second}\n0,2,{second}\n")


@pytest.fixture
def plan(mine):
    plan, found = read_plan(with_queue(mine, "executor: local\nminutes: 10"))
    assert plan is not None and not found
    return plan


def test_by_the_slowest_trial_of_the_newest_same_search_on_the_same_kind_of_device(plan):
    assert queue_of(plan) == Queue("local", 10) and walltime_errors(plan) == []
    searched(plan, "aaaaaaaa", [30, 600])
    assert walltime_errors(plan) == [
        "minutes: 10: an epoch took 10.0 minutes in the slowest of 2 earlier trials of this search; a job that "
        "ends before its first checkpoint begins again for ever: give more than 12, or a cheaper recipe"
    ]
    searched(plan, "bbbbbbbb", [3000], trialCommand="another")
    searched(plan, "cccccccc", [3000], "cuda:0")
    searched(plan, "dddddddd", [30, 500])
    assert walltime_errors(plan) == []


def test_check_says_it_before_the_search(plan, mine, fast):
    pytest.importorskip("nni")
    check(mine.yaml)
    searched(plan, "aaaaaaaa", [1000])
    (found,) = errors(mine.yaml)
    assert found.startswith("minutes: 10: an epoch took 16.7 minutes in an earlier trial")


def test_trials_that_are_no_jobs_have_no_walltime(mine):
    plan, _ = read_plan(mine.yaml)
    searched(plan, "aaaaaaaa", [10**6])
    assert queue_of(plan) is None and walltime_errors(plan) == []


def test_by_the_pilot(plan, monkeypatch):
    assert too_short(Queue("slurm", 30), 1710, "there") == []
    monkeypatch.setattr(budget, "_data", lambda plan, began: budget.Data(10, 0, 1.0))
    pilot = Pilot(parse({"weights": "none"}), 2000.0, 4000.0)
    monkeypatch.setattr(budget, "fly", lambda *given: pilot)
    with pytest.raises(UsageError, match=r"an epoch took 33.3 minutes in the pilot of the default recipe"):
        budget.planned(plan, 10.0, 0.0, False)
