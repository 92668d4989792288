"""The warm server, without NNI: a sleeping process stands in for its manager."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from common.machine import PROJECT
from tests.conftest import TINY
from trial import advisor
from trial.run_folder.record import RunFolder
from trial.warm.client import SWITCH, address

pytestmark = pytest.mark.slow
EPOCHS = 5000  # more than any of these tests waits for


class Experiment:
    """Trials as NNI starts them, with a sleeping process as the manager."""

    def __init__(self, folder: Path, people: Path, project: Path = PROJECT):
        self.folder, self.people, self.project = folder, people, project
        self.manager = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        self.trials: dict[str, subprocess.Popen] = {}

    def run_of(self, name: str) -> RunFolder:
        return RunFolder(self.folder / name)

    def start(self, name: str, environ: dict[str, str] | None = None, **values) -> subprocess.Popen:
        folder = self.folder / name
        (folder / ".nni").mkdir(parents=True)
        (folder / "parameter.cfg").write_text(json.dumps({"parameters": {}, "parameter_id": 0}))
        nni = {
            "PLATFORM": "local",
            "EXP_ID": "e",
            "TRIAL_JOB_ID": name,
            "TRIAL_SEQ_ID": 0,
            "SYS_DIR": folder,
            "OUTPUT_DIR": folder,
        }
        more = {f"NNI_{key}": str(value) for key, value in nni.items()} | {advisor.PRELOADED: "1"}
        more |= {advisor.MANAGER: str(self.manager.pid), **(environ or {})}
        words = [f"{key}={value}" for key, value in {**TINY, "data": self.people, **values}.items()]
        with (folder / "stdout").open("w") as out, (folder / "stderr").open("w") as err:
            command = [sys.executable, "-m", "trial", *words]
            environ = {**os.environ, **more}
            self.trials[name] = subprocess.Popen(
                command, cwd=self.project, env=environ, stdout=out, stderr=err
            )
        return self.trials[name]

    def started(self, name: str) -> psutil.Process:
        """The process of the trial, once it has completed an epoch."""
        run, end = self.run_of(name), time.monotonic() + 90
        while run.status().get("macro_f1") is None:
            assert time.monotonic() < end and self.trials[name].poll() is None, self.stderr(name)
            time.sleep(0.05)
        return psutil.Process(run.status()["process"]["pid"])

    def stderr(self, name: str) -> str:
        return (self.folder / name / "stderr").read_text()

    def end(self) -> None:
        for process in (*self.trials.values(), self.manager):
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def shared(people, tmp_path_factory):
    """One experiment for all tests that leave its server running."""
    experiment = Experiment(tmp_path_factory.mktemp("experiment"), people)
    yield experiment
    experiment.end()


@pytest.fixture
def own(people, tmp_path):
    experiment = Experiment(tmp_path, people)
    yield experiment
    experiment.end()


def test_a_trial_has_the_same_scores_warm_and_cold(shared):
    scores = []
    for name, environ in (("warm", {}), ("cold", {SWITCH: "0"})):
        steps = json.dumps([{"_name": "flip"}, {"_name": "GaussianBlur"}])  # ours, and albumentations'
        trial = shared.start(name, environ, augment=steps)
        assert trial.wait(90) == 0, shared.stderr(name)
        assert (shared.run_of(name).status()["process"]["pid"] == trial.pid) == (name == "cold")
        assert "no warm server" not in shared.stderr(name)
        scores.append(shared.run_of(name).epochs().drop(columns="seconds"))
    assert scores[0].equals(scores[1])


def test_sigterm_to_the_one_that_nni_knows_stops_the_trial_and_its_workers(shared):
    steps = json.dumps([{"_name": "flip", "on": "photo"}])  # what workers are for
    trial = shared.start("stopped", epochs=EPOCHS, workers=1, augment=steps)
    process = shared.started("stopped")
    workers = process.children(recursive=True)
    assert workers
    trial.send_signal(signal.SIGTERM)
    assert trial.wait(3) == 143
    assert shared.run_of("stopped").status()["state"] == "interrupted"
    assert not psutil.wait_procs([process, *workers], timeout=2)[1]


def test_a_trial_ends_when_the_one_that_nni_knows_is_killed(shared):
    trial = shared.start("orphan", epochs=EPOCHS)
    process = shared.started("orphan")
    trial.kill()
    process.wait(3)
    assert shared.run_of("orphan").status()["state"] == "interrupted"


def test_a_crash_is_reported_and_hurts_no_other_trial(shared):
    crashing, other = shared.start("crash", epochs=EPOCHS), shared.start("other", epochs=EPOCHS)
    shared.started("crash").send_signal(signal.SIGSEGV)
    assert crashing.wait(5) == 128 + signal.SIGSEGV
    assert shared.run_of("crash").status()["state"] == "failed"
    shared.started("other")
    assert other.poll() is None
    assert shared.start("after", epochs=1).wait(60) == 0
    other.terminate()  # else it would train beside the tests that follow
    assert other.wait(5) == 143


def test_a_mistake_is_reported_as_by_the_command_itself(shared):
    assert shared.start("mistake", model="resnet43").wait(60) == 2
    assert "did you mean resnet34?" in shared.stderr("mistake")
    assert shared.run_of("mistake").status()["state"] == "failed"


def test_four_that_start_at_once_start_one_server_which_ends_with_the_manager(own):
    names = "abcd"
    trials = [own.start(name, epochs=EPOCHS) for name in names]
    servers = {own.started(name).parent() for name in names}
    (server,) = servers
    assert server.num_threads() == 1  # no other would outlive a fork
    files = [os.readlink(file) for file in Path(f"/proc/{server.pid}/fd").iterdir()]
    assert files.count(os.devnull) == 3  # and not a fourth, for every trial to inherit
    own.manager.kill()
    own.manager.wait()
    assert [trial.wait(5) for trial in trials] == [143] * 4
    assert all("manager" in own.run_of(name).status()["reason"] for name in names)
    assert not psutil.wait_procs(servers, timeout=5)[1]


def test_a_killed_server_loses_no_trial(own):
    trial = own.start("first", epochs=60)
    server = own.started("first").parent()
    server.kill()
    assert trial.wait(60) == 0
    assert own.run_of("first").status()["state"] == "done"
    assert own.start("next", epochs=1).wait(60) == 0
    assert "no warm server" not in own.stderr("next")


def test_trials_leave_nothing_in_the_server(own):
    """A search of a night has hundreds: neither memory nor open files of the server may grow with them."""

    def one_more(name: str) -> psutil.Process:
        own.start(name, epochs=EPOCHS)
        server = own.started(name).parent()
        own.trials[name].terminate()
        own.trials[name].wait(30)
        return server

    for number in range(4):  # the first ones fill what the server keeps
        server = one_more(f"first{number}")
    before, files = server.memory_info().rss, server.num_fds()
    for number in range(10):
        assert one_more(f"next{number}") == server
    assert server.num_fds() == files and not server.children()
    assert server.memory_info().rss - before < 10 * 2**18  # a quarter of a MiB each


def test_a_trial_runs_by_itself_if_the_server_does_not_answer(own):
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(address(own.manager.pid))
        listener.listen()
        trial = own.start("alone", epochs=1)
        for _ in range(2):
            listener.accept()[0].close()
        assert trial.wait(60) == 0
    assert "no warm server (it ended before the trial began)" in own.stderr("alone")
    assert own.run_of("alone").status()["process"]["pid"] == trial.pid


def test_changed_code_gets_a_new_server(people, tmp_path):
    apart = (".git", ".venv", ".*_cache", "__pycache__", "out", "input", "weights")
    shutil.copytree(PROJECT, tmp_path / "project", ignore=shutil.ignore_patterns(*apart))
    own = Experiment(tmp_path, people, tmp_path / "project")
    try:
        own.start("before", epochs=EPOCHS, cache_limit=1)  # this project's cache goes with it
        server = own.started("before").parent()
        assert len(list((own.project / "out" / "cache").glob("*.npy"))) == 1
        os.utime(own.project / "trial" / "fit.py")
        own.start("after", epochs=EPOCHS, cache_limit=1)
        assert own.started("after").parent() != server
        assert "decoding" in own.stderr("before") and "decoding" not in own.stderr("after")
        assert "no warm server" not in own.stderr("after")
        own.trials["before"].terminate()
        server.wait(5)
    finally:
        own.end()
        shutil.rmtree(own.project)


def test_what_is_imported_before_the_fork_starts_no_thread_and_asks_for_no_gpu():
    code = """
from trial.warm.server import import_all
import os, sys, torch
asked = []
torch._C._cuda_getDeviceCount = lambda: asked.append(1) or 0
torch._C._cuda_init = lambda: asked.append(1)
import_all()
print(len(os.listdir("/proc/self/task")), asked, torch.cuda.is_initialized(), "nni" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True)
    assert done.stdout.strip() == "1 [] False False", done.stderr
