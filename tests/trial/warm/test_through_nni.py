"""Warm trials as NNI's manager sees them: ended, stopped by the assessor, and nothing left behind."""

import psutil
import pytest

from common.machine import PROJECT
from tests.conftest import TINY
from tests.nni_server import TinyExperiment
from trial.run_folder.record import RunFolder

pytestmark = [pytest.mark.server, pytest.mark.slow]
ASSESSOR = (
    "assessor: {{className: tests.stop_trial.StopTrial, codeDirectory: {project}, "
    "classArgs: {{trial: 1, epoch: 2}}}}"
)


def test_warm_trials_end_and_are_stopped_as_cold_ones_and_leave_nothing(people, tmp_path):
    values = {**TINY, "data": people, "epochs": 60}
    tiny = TinyExperiment.of_trials(tmp_path, 3, values, ASSESSOR.format(project=PROJECT))
    servers: set[psutil.Process] = set()
    tiny.create()
    try:
        trials = tiny.root / "trials"

        def all_ended() -> bool:
            for folder in trials.glob("*"):
                status = RunFolder(folder).status()
                if status["state"] == "running" and status["epochs"]:
                    servers.add(psutil.Process(status["process"]["pid"]).parent())
            return len(tiny.ends()) == 3

        tiny.wait_for(all_ended, 300)
        stderrs = [(folder / "stderr").read_text() for folder in trials.glob("*")]
    finally:
        tiny.stop()
    assert len(servers) == 1
    assert not any("warm" in text for text in stderrs), stderrs
    started = [trial for (trial,) in tiny.rows("SELECT trialJobId FROM TrialJobEvent WHERE event='WAITING'")]
    assert [tiny.ends()[trial] for trial in started] == ["SUCCEEDED", "EARLY_STOPPED", "SUCCEEDED"]
    states = [RunFolder(trials / trial).status()["state"] for trial in started]
    assert states == ["done", "interrupted", "done"], "by SIGTERM: whose it was NNI knows"
    assert not psutil.wait_procs(servers, timeout=5)[1]
