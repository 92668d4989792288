"""A trial that NNI starts again after a crash goes on from its checkpoint, and NNI has its whole curve."""

import json

import psutil
import pytest

from tests.conftest import TINY
from tests.nni_server import TinyExperiment
from trial.metrics import column_of
from trial.run_folder.record import RunFolder
from trial.run_folder.resume import CHECKPOINT

pytestmark = [pytest.mark.server, pytest.mark.slow]
EPOCHS = 40


def test_a_trial_taken_up_again_goes_on_after_its_last_epoch(people, tmp_path):
    # More than one: NNI counts the trial twice.
    tiny = TinyExperiment.of_trials(tmp_path, 3, {**TINY, "data": people, "epochs": EPOCHS})
    tiny.create()
    try:
        trials = tiny.root / "trials"
        tiny.wait_for(lambda: any(RunFolder(t).status().get("epochs", 0) > 2 for t in trials.glob("*")), 90)
        (folder,) = trials.glob("*")
        trial = psutil.Process(RunFolder(folder).status()["process"]["pid"])
        tiny.manager().kill()
        trial.wait(10)
        stopped = RunFolder(folder).status()
        assert stopped["state"] == "interrupted" and (folder / CHECKPOINT).exists()
        before = list(RunFolder(folder).epochs()["seconds"])
        tiny.nnictl("resume", tiny.id, "-e", str(tmp_path / "runs"), "--port", str(tiny.port))
        tiny.wait_for(lambda: RunFolder(folder).status()["state"] == "done", 90)
        of_it = f"FROM MetricData WHERE trialJobId = '{folder.name}'"
        tiny.wait_for(lambda: tiny.rows(f"SELECT count(*) {of_it} AND type='FINAL'") == [(1,)])
        curve = RunFolder(folder).epochs()
        rows = tiny.rows(f"SELECT sequence, data {of_it} AND type='PERIODICAL' ORDER BY rowid")
    finally:
        tiny.stop()
    assert list(curve["epoch"]) == list(range(1, EPOCHS + 1))
    # The epochs before the crash were not trained again, but for those after the last checkpoint.
    kept = [one == other for one, other in zip(before, curve["seconds"], strict=False)]
    assert kept[0] and kept == sorted(kept, reverse=True)
    assert RunFolder(folder).status()["started"] == stopped["started"]
    # NNI reads the earlier reports again, stores them a second time, in any order, and then those after them.
    told = {int(sequence): json.loads(json.loads(data))["default"] for sequence, data in rows}
    assert sorted(told) == list(range(EPOCHS))
    assert len(rows) <= EPOCHS + len(before)
    assert [told[number] for number in range(EPOCHS)] == pytest.approx(list(curve[column_of("macro_f1")]))
