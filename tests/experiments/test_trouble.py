"""An experiment that can't go on ends within seconds, with the reason."""

import os
import re
import shlex
import signal
import subprocess
import time

import pytest

from common.machine import PROJECT
from experiments import run as running
from experiments.check import check
from experiments.checks.ports import any_port, taken
from experiments.trouble import last_word, log_sizes, tuner_died, why_no_more
from tests.experiments.conftest import give
from tests.experiments.test_run import at_work_in, start

# It raises only under NNI's manager, so that the rehearsal of `check` does not notice.
TUNER = """
import os
import time

from nni.tuner import Tuner


class Raises(Tuner):
    def __init__(self, when):
        self.when = when if "NNI_TUNER_COMMAND_CHANNEL" in os.environ else ""
        if self.when == "made":
            raise ValueError("out of luck")

    def update_search_space(self, space):
        if self.when == "space":
            raise ValueError("out of luck")

    def generate_parameters(self, number, **more):
        if self.when == "third" and number == 2:
            raise ValueError("out of luck")
        if self.when == "killed" and number == 2:
            os._exit(3)
        if self.when == "silent":
            time.sleep(1000)
        return {"learning_rate": 0.001 + number / 1000}

    def receive_trial_result(self, *arguments, **more):
        pass
"""
RAISED = "the tuner or the assessor raised ValueError: out of luck (raises.py, line "
SAID = {
    "made": (RAISED, 0),
    "space": (RAISED, 0),
    "third": (RAISED, 1),
    "killed": ("NNI's manager ended on its own: Error: Error: tuner_command_channel: Tuner closed connection", 1),
}  # fmt: skip


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def raising(mine):
    (mine.folder / "raises.py").write_text(TUNER)

    def with_tuner(when):
        tuner = {"className": "raises.Raises", "codeDirectory": ".", "classArgs": {"when": when}}
        return give(mine, tuner=tuner, maxTrialNumber=4)

    return with_tuner


@pytest.mark.server
@pytest.mark.slow
@pytest.mark.parametrize(("when", "said", "trials"), [(when, *said) for when, said in SAID.items()], ids=SAID)
def test_a_tuner_that_raises_ends_the_run_with_its_reason(mine, raising, people, home, when, said, trials):
    raising(when)
    port = any_port()
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as stderr:
        process = start(mine, people, "--port", str(port), "--set", "epochs=1", stderr=stderr)
    with os.fdopen(reader) as stderr:
        lines = [(time.monotonic(), line) for line in stderr]  # (when it came, line)
    process.wait(timeout=10)
    err = "".join(line for _, line in lines)
    assert process.returncode == 1, err
    assert said in lines[-1][1], err
    (up,) = (came for came, line in lines if line.startswith("experiment mine, "))
    (stopping,) = (came for came, line in lines if line == "stopping NNI's server\n")
    assert stopping - up < (5 if not trials else 40), f"noticed after {stopping - up:.0f} s"
    assert lines[-1][0] - stopping < 25, f"stopped after {lines[-1][0] - stopping:.0f} s"
    assert "Traceback" not in err
    assert ("its best recipe: " in err) == bool(trials)
    assert not taken(port)
    assert at_work_in(mine.folder / "runs") == []


@pytest.mark.server
@pytest.mark.slow
def test_a_tuner_that_suggests_nothing(mine, raising, people, home, monkeypatch):
    raising("silent")
    monkeypatch.setattr(running, "START_SECONDS", 5.0)
    began = time.monotonic()
    with pytest.raises(
        RuntimeError, match="no trial runs and none was begun for 5 s: the tuner suggests nothing"
    ):
        running.run_plan(check(mine.yaml, people), any_port())
    assert time.monotonic() - began < 60, "NNI's manager waits a minute for such a tuner"
    assert at_work_in(mine.folder / "runs") == []


@pytest.mark.server
@pytest.mark.slow
def test_a_manager_that_was_killed_and_what_can_be_done_then(mine, people, home):
    process = start(mine, people, "--port", str(any_port()), "--set", "epochs=40")
    end = time.monotonic() + 60
    while not list((mine.folder / "runs").glob("[!_]*/trials/*/epochs.csv")) and time.monotonic() < end:
        time.sleep(0.3)
    (manager,) = (p for p in at_work_in(mine.folder / "runs") if "nni_node" in " ".join(p.cmdline()))
    os.kill(manager.pid, signal.SIGKILL)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1, err
    assert "NNI's manager ended on its own" in err
    table = shlex.split(re.search(r"its trials: +python (.*)", err)[1])
    assert table[-1] == str(next((mine.folder / "runs").glob("[!_]*"))), "not in this project's own folder"
    assert f"python -m experiments resume {table[-1]}\n" in err, "as test_resume_through_nni.py does"
    command, shown = [PROJECT / ".venv/bin/python", *table], ""
    end = time.monotonic() + 30
    while "NNI's manager is gone" not in shown and time.monotonic() < end:  # trials notice it by themselves
        shown = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True).stdout
    assert "not ranked" in shown
    assert "NNI's manager is gone" in shown


def log(folder, name, text):
    (folder / "log").mkdir(exist_ok=True)
    (folder / "log" / name).write_text(text)


def test_the_reason_is_found_in_the_logs(tmp_path):
    assert (tuner_died(tmp_path), last_word(tmp_path)) == ("", "")
    log(tmp_path, "nnictl_stderr.log", "-----\nExperiment x start: 1\n-----\nSyntaxError: bad\n    at x\n")
    assert last_word(tmp_path) == "SyntaxError: bad"
    gone = '  File "/nni/runtime/tuner_command_channel/channel.py", line 1, in _retry\nConnectionRefusedError: x\n'
    for what in ("", gone):
        log(tmp_path, "nnictl_stderr.log", f"-----\nTraceback (most recent call last):\n{what}")
        assert last_word(tmp_path) == "", "the tuner, which has lost its manager"
    log(
        tmp_path, "nnictl_stderr.log", "Traceback (most recent call last):\n  File ...\nImportError: no nni\n"
    )
    assert last_word(tmp_path) == "ImportError: no nni"
    info = "[2026-01-01 00:00:00] INFO (NNIManager) fine\n"
    log(
        tmp_path,
        "nnimanager.log",
        f"{info}[2026-01-01 00:00:00] ERROR (LocalTrainingService) no GPU\n    at x\n",
    )
    assert last_word(tmp_path) == "no GPU"
    log(
        tmp_path,
        "dispatcher.log",
        info + "[2026-01-01 00:00:00] ERROR (mine/MainThread) a tuner's own words\n",
    )
    assert tuner_died(tmp_path) == "", "it went on"
    raised = (
        "[2026-01-01 00:00:00] ERROR (nni.runtime.msg_dispatcher_base/Thread-1 (command_queue_worker)) 'a'\n"
        'Traceback (most recent call last):\n  File "/a/b/tpe.py", line 7, in go\n    x[1]\n    ^^^^\n'
        "KeyError: 'a'\n\n"
    )
    log(tmp_path, "dispatcher.log", info + raised + info)
    assert tuner_died(tmp_path) == last_word(tmp_path) == "KeyError: 'a' (tpe.py, line 7)"


def test_why_the_tuner_suggests_no_more(tmp_path):
    """Else a search of 14 recipes ends at '14 of 30 trials' without a word."""
    line = "[2026-01-01 00:00:00] INFO (tuners.search/Thread-1 (command_queue_worker)) no more trials: {}\n"
    assert why_no_more(tmp_path) == ""
    log(tmp_path, "dispatcher.log", line.format("the trainings are spent"))
    before = log_sizes(tmp_path)
    assert (why_no_more(tmp_path), why_no_more(tmp_path, before)) == ("the trainings are spent", "")
    with (tmp_path / "log" / "dispatcher.log").open("a") as file:
        file.write(line.format("every recipe of the search space was tried"))
    assert why_no_more(tmp_path, before) == "every recipe of the search space was tried"
