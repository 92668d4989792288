"""When NNI's manager is killed, its trials end and say so: a resumed one would share their folders."""

import json

import psutil
import pytest

from tests.conftest import PROJECT, TINY
from tests.nni_server import TinyExperiment
from trial.record import RunFolder

pytestmark = [pytest.mark.server, pytest.mark.slow]


def test_a_trial_whose_manager_is_killed_ends_and_says_so(people, tmp_path):
    tiny = TinyExperiment.write(tmp_path, trials=1)
    fixed = {**TINY, "data": people, "epochs": 5000}
    del fixed["learning_rate"]
    words = " ".join(f"{key}={value}" for key, value in fixed.items())
    yaml = (tmp_path / "tiny.yaml").read_text().replace("python trial.py", f"python -m trial {words}")
    yaml = yaml.replace("trialCodeDirectory: .", f"trialCodeDirectory: {PROJECT}")
    (tmp_path / "tiny.yaml").write_text(yaml)
    space = {"learning_rate": {"_type": "choice", "_value": [0.003]}}
    (tmp_path / "space.json").write_text(json.dumps(space))
    tiny.create()
    try:
        trials = tiny.root / "trials"
        tiny.wait_for(lambda: any(RunFolder(t).status().get("macro_f1") for t in trials.glob("*")), 90)
        (folder,) = trials.glob("*")
        trial = psutil.Process(RunFolder(folder).status()["process"]["pid"])
        manager = next(p for p in trial.parents() if "nni_node" in " ".join(p.cmdline()))
        manager.kill()
        trial.wait(10)
    finally:
        tiny.stop()
    status = RunFolder(folder).status()
    assert status["state"] == "stopped_early"
    assert "manager" in status["reason"]
