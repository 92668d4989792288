"""Trials as jobs, by submitit's local executor: the same runs, reports and ends as without a queue."""

import json
import os
import re
import signal
import sys
import time
from functools import partial
from pathlib import Path

import psutil
import pytest

from common.machine import PROJECT
from experiments.submit import FOLDER, JOB
from tests import forked
from tests.conftest import TINY
from tests.forked import Forked
from tests.nni_server import TinyExperiment
from tests.trial.killed_runs import assert_same
from trial.metrics import column_of
from trial.run_folder.checkpoint import CHECKPOINT
from trial.run_folder.record import RunFolder

LONG = "import sys, time; print('begins', flush=True); time.sleep(60)"
REPORTS = """import os, sys, time
path = os.environ['NNI_SYS_DIR'] + '/.nni/metrics'
open(path, 'ab').write(b'ME000002{{}}'); os.utime(path, (0, 0))
print('trained', *sys.argv[1:], os.environ['FACE_MASK_WARM'], flush=True)
print('a warning', file=sys.stderr); time.sleep({seconds}); print('done'); sys.exit(7)"""


@pytest.fixture
def queue(tmp_path) -> Path:
    (tmp_path / "queue.yaml").write_text("executor: local\nminutes: 10\ncpus: 3\n")
    return tmp_path / "queue.yaml"


class Trial:
    """A trial in `folder`, started as NNI starts it, with the wrapper or without."""

    def __init__(self, folder: Path, queue: Path | None, *command: str):
        (folder / ".nni").mkdir(parents=True, exist_ok=True)
        values = {"parameter_id": 0, "parameters": {"learning_rate": 0.003}, "parameter_index": 0}
        (folder / "parameter.cfg").write_text(json.dumps(values))
        wrapper = ("-m", "experiments.submit", "--queue", str(queue), "--", "python") if queue else ()
        nni = dict.fromkeys(("NNI_OUTPUT_DIR", "NNI_SYS_DIR"), str(folder)) | {
            "NNI_PLATFORM": "local", "NNI_TRIAL_JOB_ID": folder.name, "NNI_EXP_ID": "exp",
            "NNI_TRIAL_SEQ_ID": "0", "FACE_MASK_NNI_PRELOAD": "1",
        }  # fmt: skip
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self.folder = folder
        with (folder / "stdout").open("ab") as out, (folder / "stderr").open("ab") as errors:
            self.process = Forked(
                *wrapper, *command, stdout=out, stderr=errors,
                env={**os.environ, **nni, "PATH": path, "PYTHONPATH": str(PROJECT)},
            )  # fmt: skip

    def end(self, seconds: float = 120) -> int:
        return self.process.wait(seconds)

    def text(self, name: str) -> str:
        return (self.folder / name).read_text()


def wait_for(find, seconds: float = 120):
    """What `find` returns, once it is true and raises nothing."""
    end = time.monotonic() + seconds
    while True:
        try:
            if found := find():
                return found
        except (OSError, StopIteration, psutil.Error):
            pass
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.1)


def job_of(folder: Path) -> psutil.Process:
    """The process of a trial's job, which has started the trial."""
    number = wait_for((folder / FOLDER / JOB).read_text)
    return wait_for(lambda: next(p for p in psutil.Process(int(number)).children() if p.children()))


def has_more(folder: Path, epochs: int) -> bool:
    return (folder / CHECKPOINT).exists() and RunFolder(folder).status()["epochs"] > epochs


@pytest.mark.slow
def test_the_log_the_reports_and_the_exit_code_come_back(queue, tmp_path):
    """NNI waits until the kernel tells it that the file of metrics has changed, which it does not when another machine
    writes: here the trial gives the file a time long ago, and the wrapper's touch is seen."""
    trial = Trial(tmp_path / "abcde", queue, "-c", REPORTS.format(seconds=2.5), "epochs=2")
    assert trial.end() == 7
    assert re.fullmatch(
        r"job \d+ is in the queue \(local\)\ntrained epochs=2 threads=3 0\ndone\n", trial.text("stdout")
    )
    assert trial.text("stderr") == "a warning\n"
    assert (trial.folder / ".nni" / "metrics").stat().st_mtime > time.time() - 100
    assert not (trial.folder / FOLDER / JOB).exists()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_ends_the_job_in_time(queue, tmp_path, number):
    trial = Trial(tmp_path / "abcde", queue, "-c", LONG)
    job = job_of(trial.folder)
    wait_for(lambda: "begins" in trial.text("stdout"))
    processes = [job, *job.children()]
    trial.process.send_signal(number)
    assert trial.end(60) == 143
    assert psutil.wait_procs(processes, 30)[1] == []


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR2, signal.SIGKILL])
def test_a_job_that_the_queue_ends_looks_like_a_trial_ended_by_a_signal(queue, tmp_path, number):
    """Preemption, the coming walltime, a node that is gone. NNI starts such a trial again (nni_setup/again.js)."""
    trial = Trial(tmp_path / "abcde", queue, "-c", LONG)
    job = job_of(trial.folder)
    (child,) = job.children()
    wait_for(lambda: "begins" in trial.text("stdout"))
    job.send_signal(number)
    if number == signal.SIGKILL:
        child.kill()
    assert trial.end() == 143
    assert psutil.wait_procs([child], 30)[1] == []
    assert ("was ended by the queue" in trial.text("stderr")) == (number == signal.SIGKILL)


@pytest.mark.slow
def test_a_killed_wrapper_leaves_its_job_to_the_next(queue, tmp_path):
    first = Trial(tmp_path / "abcde", queue, "-c", LONG)
    job = job_of(first.folder)
    processes = [job, *job.children()]
    first.process.kill()
    second = Trial(tmp_path / "abcde", queue, "-c", LONG)
    assert second.end() == 143
    assert psutil.wait_procs(processes, 30)[1] == []
    assert "is in the queue" not in second.text("stdout").partition("\n")[2], "it submitted none of its own"


@pytest.mark.slow
def test_a_preempted_and_stopped_trial_has_the_run_and_reports_of_one_without_a_queue(
    queue, people, tmp_path
):
    goes_on(queue, people, tmp_path, lambda folder: job_of(folder).send_signal(signal.SIGTERM), "interrupted")


def goes_on(queue, people, tmp_path, preempt, *states):
    """A trial that `preempt` ends, which leaves it in one of these states, and that is then stopped."""
    values = {**TINY, "data": people, "epochs": 20, "learning_rate": None}
    words = ["-m", "trial", *(f"{key}={value}" for key, value in values.items() if value is not None)]
    plain = Trial(tmp_path / "plain", None, *words)
    for stop in ("preempt", "cancel", ""):
        trial = Trial(tmp_path / "abcde", queue, *words)
        if not stop:
            assert trial.end(200) == 0
            continue
        wait_for(partial(has_more, trial.folder, RunFolder(trial.folder).status().get("epochs", 0)))
        if stop == "preempt":
            preempt(trial.folder)
        else:
            trial.process.send_signal(signal.SIGTERM)
        assert trial.end() == 143
        assert RunFolder(trial.folder).status()["state"] in (states if stop == "preempt" else ["interrupted"])
    assert plain.end() == 0
    assert trial.text("trial.log").count("going on after epoch") == 2
    assert_same(trial.folder, plain.folder)
    metrics = [re.sub(r'"trial_job_id": "\w+"', "", one.text(".nni/metrics")) for one in (trial, plain)]
    assert metrics[0].count("PERIODICAL") == 20
    assert re.sub(r"ME\d+", "ME", metrics[0]) == re.sub(r"ME\d+", "ME", metrics[1])


@pytest.mark.server
@pytest.mark.slow
def test_an_experiment_whose_first_job_is_preempted(queue, people, tmp_path):
    """NNI starts that trial again as another job, and gets all reports of both trials."""
    tiny = TinyExperiment.of_trials(tmp_path, 2, {**TINY, "data": people, "epochs": 20})
    text = (tmp_path / "tiny.yaml").read_text()
    wrapped = f"python -m experiments.submit --queue {queue} -- python -m trial"
    (tmp_path / "tiny.yaml").write_text(text.replace("python -m trial", wrapped))
    tiny.create()
    try:
        folder = wait_for(lambda: next(tiny.root.glob("trials/*/checkpoint.pt"))).parent
        job_of(folder).send_signal(signal.SIGTERM)
        tiny.wait_for_trials(2, 200)
        assert list(tiny.ends().values()) == ["SUCCEEDED"] * 2
        query = "SELECT sequence, data FROM MetricData WHERE trialJobId = '{}' AND type = '{}'"
        told, final = (
            {id: dict(tiny.rows(query.format(id, type))) for id in tiny.ends()}
            for type in ("PERIODICAL", "FINAL")
        )
    finally:
        tiny.stop()
    assert "going on after epoch" in (folder / "trial.log").read_text()
    for id, reports in told.items():
        run = RunFolder(tiny.root / "trials" / id)
        values = [json.loads(json.loads(reports[epoch]))["default"] for epoch in range(20)]
        assert values == pytest.approx(list(run.epochs()[column_of("macro_f1")]))
        assert json.loads(json.loads(final[id][0])) == pytest.approx(run.status()["score"])


def test_without_nni_a_run_folder_is_needed(queue):
    done = forked.run("-m", "experiments.submit", "--queue", queue, "--", "python", "-m", "trial")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("out: is missing;")
