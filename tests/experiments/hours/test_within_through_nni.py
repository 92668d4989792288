"""`python -m experiments run --hours H --with-retrain` through NNI's real manager."""

import json
import time

import pytest

from analysis.trials.table import Experiment, trial_table
from experiments.checks.ports import any_port
from tests import forked
from tests.experiments.test_run import at_work_in

pytestmark = [pytest.mark.server, pytest.mark.slow]
HOURS = 0.06


def test_search_and_retraining_end_in_the_time(mine, people, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    mine.change("epochs=2", "epochs=12")
    command = ["-m", "experiments", "run", mine.yaml, "--data", people]
    began = time.monotonic()
    run = forked.run(
        *command, "--port", any_port(), "--hours", HOURS, "--with-retrain", timeout=300
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    # Within a tenth on a quiet machine; busy ones start NNI, and end it, seconds late, and after a slow pilot no
    # further training may fit.
    assert 0.5 < (time.monotonic() - began) / (HOURS * 3600) < 1.4, run.stderr
    (folder,) = (path.parent for path in (mine.folder / "runs").glob("[!_]*/budget.json"))
    assert f"the result:  {folder / 'final'}" in run.stdout
    assert (folder / "final" / "submission.csv").is_file()
    budget = json.loads((folder / "budget.json").read_text())
    assert f"planned: about {budget['trials']} trials of {budget['epochs']} epochs" in run.stderr
    table = trial_table(Experiment(folder.name, "mine", folder))
    assert set(table["state"]) <= {"done", "interrupted", "stopped_early"}
    assert len(table) > 2, "the YAML's number does not end it"
    assert not list((mine.folder / "runs").glob(".pilot*"))
    assert at_work_in(mine.folder / "runs") == []


def test_no_time_for_anything(mine, people):
    mine.change("epochs=2", "epochs=500")
    run = forked.run("-m", "experiments", "run", mine.yaml, "--data", people, "--hours", 0.01)
    assert run.returncode == 2
    assert "not even one training fits" in run.stderr or "did not end in" in run.stderr
    assert list((mine.folder / "runs").iterdir()) == []
