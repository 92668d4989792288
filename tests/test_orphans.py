"""When NNI's manager is killed, its trials end with that reason: a resumed manager would use their folders."""

import psutil
import pytest

from tests.conftest import TINY
from tests.nni_server import TinyExperiment
from trial.run_folder.record import RunFolder

pytestmark = [pytest.mark.server, pytest.mark.slow]


def test_a_trial_whose_manager_is_killed_ends_and_says_so(people, tmp_path):
    tiny = TinyExperiment.of_trials(tmp_path, 1, {**TINY, "data": people, "epochs": 5000})
    tiny.create()
    try:
        trials = tiny.root / "trials"
        tiny.wait_for(lambda: any(RunFolder(t).status().get("macro_f1") for t in trials.glob("*")), 90)
        (folder,) = trials.glob("*")
        trial = psutil.Process(RunFolder(folder).status()["process"]["pid"])
        server = trial.parent()  # the warm server
        tiny.manager().kill()
        trial.wait(10)
        server.wait(10)
    finally:
        tiny.stop()
    status = RunFolder(folder).status()
    assert status["state"] == "interrupted"
    assert "manager" in status["reason"]
