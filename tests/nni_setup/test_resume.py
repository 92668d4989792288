"""Plain `nnictl resume` after NNI's manager was killed: as many trials run as were asked for, each under its number."""

import sqlite3

import psutil
import pytest

from tests.nni_server import TinyExperiment

pytestmark = [pytest.mark.server, pytest.mark.slow]


def test_the_number_asked_for_is_reached_and_no_number_comes_twice(tmp_path):
    tiny = TinyExperiment.write(tmp_path, trials=5)
    slow = (tmp_path / "trial.py").read_text().replace("time.sleep(0.1)", "time.sleep(2)")
    (tmp_path / "trial.py").write_text(slow)
    try:
        tiny.create()
        tiny.wait_for_trials(1)
        tiny.wait_for(lambda: len(running(tiny)) == 2)
        manager = tiny.manager()
        processes = [manager, *manager.children(recursive=True)]
        for process in processes:
            process.kill()
        psutil.wait_procs(processes, timeout=10)
        taken_up = running(tiny)
        with sqlite3.connect(
            tiny.root / "db" / "nni.sqlite"
        ) as db:  # as if killed again before it was started
            db.execute(
                "insert into TrialJobEvent (timestamp, trialJobId, event) values (0, ?, 'ADD_RESUMED')",
                taken_up[:1],
            )
        tiny.nnictl("resume", tiny.id, "--port", str(tiny.port), "-e", str(tmp_path / "runs"))
        tiny.wait_for(lambda: list(tiny.ends().values()).count("SUCCEEDED") == 5, 120)
    finally:
        tiny.stop()
    numbers = tiny.rows(
        "SELECT DISTINCT trialJobId, sequenceId FROM TrialJobEvent WHERE sequenceId IS NOT NULL"
    )
    assert sorted(number for _, number in numbers) == [0, 1, 2, 3, 4]
    assert set(taken_up) < {trial for trial, _ in numbers}


def running(tiny):
    """Trials that have begun and not ended."""
    begun = [
        trial for (trial,) in tiny.rows("SELECT DISTINCT trialJobId FROM TrialJobEvent WHERE event='RUNNING'")
    ]
    return [trial for trial in begun if trial not in tiny.ends()]
