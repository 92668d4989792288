"""`experiments list`."""

import time

import pytest

from experiments.saved.overview import lines, overview
from tests.experiments.saved.saved_experiment import SavedExperiment


def test_states_counts_and_order(tmp_path):
    ended = SavedExperiment(tmp_path, "ended000", start=1_000, seconds=5400, end=9)
    ended.trial("a", "SUCCEEDED", state="done", score=0.25).trial("b", "SUCCEEDED", state="done", score=0.75)
    ended.trial("c", "EARLY_STOPPED", state="interrupted", score=0.9)  # paused, or dropped by the assessor
    stopped = SavedExperiment(tmp_path, "stopped0", start=500, end=9)
    stopped.trial("a", "SUCCEEDED", state="done", score=0.5).trial("b", "SYS_CANCELED", state="interrupted")
    SavedExperiment(tmp_path, "killed00", start=3_000, experimentName="x" * 60)
    other = SavedExperiment(tmp_path / "elsewhere", "running0", start=2_000, maxTrialNumber=None)
    damaged = tmp_path / "damaged0" / "db"
    damaged.mkdir(parents=True)
    (damaged / "nni.sqlite").write_text("nonsense")
    (tmp_path / "_latest").symlink_to("ended000")
    rows = overview(tmp_path, {"running0": other.folder})
    assert [(row.id, row.state) for row in rows] == [
        ("killed00", "killed"), ("running0", "running"), ("ended000", "ended"),
        ("stopped0", "stopped"), ("damaged0", "damaged"),
    ]  # fmt: skip
    shown = lines(rows)
    assert shown[0].split() == ["id", "name", "state", "done", "best", "hours", "started"]
    assert shown[3].split()[:8] == ["ended000", "mine", "ended", "2", "of", "4", "0.7500", "1.50"]
    assert max(map(len, shown)) <= 100
    tuner = {"className": "tuners.search.Search", "classArgs": {"trainings": 12.75}}  # after a resume
    SavedExperiment(tmp_path / "parts", "resumed0", tuner=tuner)
    assert lines(overview(tmp_path / "parts", {}))[1].split()[3:6] == ["0", "of", "13"]
    assert lines([]) == ["no experiment yet; start one: python -m experiments run experiments/demo.yaml"]


@pytest.mark.slow
def test_fifty_are_listed_at_once(tmp_path):
    for number in range(50):
        one = SavedExperiment(tmp_path, f"id{number:06}")
        for trial in range(10):
            one.trial(f"t{trial}", "SUCCEEDED", state="done")
    began = time.process_time()
    assert len(overview(tmp_path, {})) == 50
    assert time.process_time() - began < 2
