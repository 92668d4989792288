"""A trial that a signal ended is run again by NNI, under its number, and goes on; one that only crashes is not, in the end."""

import signal

import psutil
import pytest

from tests.conftest import TINY
from tests.nni_server import TinyExperiment
from trial.run_folder.record import RunFolder

pytestmark = [pytest.mark.server, pytest.mark.slow]
EPOCHS = 60


def test_killed_and_preempted_trials_go_on_in_the_same_search(people, tmp_path):
    """Each of a trial's processes: the one that trains, the one that NNI started, and NNI's shell."""
    tiny = TinyExperiment.of_trials(tmp_path, 2, {**TINY, "data": people, "epochs": EPOCHS})
    kills = [
        ("trains", signal.SIGKILL),
        ("trains", signal.SIGTERM),
        ("client", signal.SIGKILL),
        ("shell", signal.SIGKILL),
    ]
    tiny.create()
    try:
        trials = tiny.root / "trials"
        epochs = 1
        for process, number in kills:
            tiny.wait_for(lambda epochs=epochs: at_work(trials) and at_work(trials)[1]["epochs"] > epochs, 90)
            folder, status = at_work(trials)
            epochs = status["epochs"]
            seconds = list(RunFolder(folder).epochs()["seconds"])[: epochs - 2]
            trains = psutil.Process(status["process"]["pid"])  # now: it may be gone right after the signal
            find(process, folder, status).send_signal(number)
            psutil.wait_procs([trains], 15)
        tiny.wait_for_trials(2, 120)
        assert list(tiny.ends().values()) == ["SUCCEEDED", "SUCCEEDED"]
        curve = RunFolder(folder).epochs()
    finally:
        tiny.stop()
    assert list(curve["epoch"]) == list(range(1, EPOCHS + 1))
    assert list(curve["seconds"])[: len(seconds)] == seconds, "it went on"
    numbers = tiny.rows("SELECT DISTINCT trialJobId, sequenceId FROM TrialJobEvent ORDER BY sequenceId")
    assert [number for _, number in numbers] == [0, 1]


def at_work(trials):
    """(folder, status) of the trial that trains."""
    for folder in trials.glob("*"):
        status = RunFolder(folder).status()
        if status["state"] == "running":
            return folder, status
    return None


def find(process, folder, status):
    if process == "trains":
        return psutil.Process(status["process"]["pid"])
    word = "run.sh" if process == "shell" else " -m trial "
    found = [
        one for one in psutil.process_iter(["cmdline", "pid"])
        if word in " ".join(one.info["cmdline"] or [])
        and (folder.name in " ".join(one.info["cmdline"]) or one.environ().get("NNI_TRIAL_JOB_ID") == folder.name)
    ]  # fmt: skip
    return found[0]


def test_one_that_crashes_each_time_fails(tmp_path):
    tiny = TinyExperiment.write(tmp_path, trials=1)
    (tmp_path / "trial.py").write_text(
        "import os, nni\nnni.get_next_parameter()\nprint('begins', flush=True)\nos.abort()\n"
    )
    tiny.create()
    try:
        tiny.wait_for_trials(1, 60)
        assert list(tiny.ends().values()) == ["FAILED"]
        log = (tiny.root / "log" / "nnimanager.log").read_text()
        assert log.count("it is run again") == 3
    finally:
        tiny.stop()
