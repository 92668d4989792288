"""Trials as jobs of a Ray cluster that is started here, of one node: skipped without Ray (the extra `ray`)."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest

from experiments.checks.queue import queue_errors
from experiments.submit import FOLDER, JOB
from tests.experiments.checks.test_queue import START
from tests.experiments.test_submit import LONG, REPORTS, Trial, goes_on, wait_for

pytest.importorskip("ray", reason="Ray is not installed (pip install -e '.[ray]')")
pytestmark = pytest.mark.slow


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@pytest.fixture(scope="module")
def cluster():
    """The process above all of the cluster's, which has 2 CPUs and listens on 127.0.0.1 alone: Ray takes a name of
    this machine for its address in the network, unless it may have one node only (the first variable)."""
    folder = Path(tempfile.mkdtemp(prefix="ray"))  # a short name: it holds sockets
    port = free_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_TMPDIR", str(folder))
        started = start(folder / "log", port)
        process = psutil.Process(started.pid)
        below = process.children(recursive=True)
        patch.setenv("RAY_ADDRESS", f"127.0.0.1:{port}")
        try:
            for one in below:
                with contextlib.suppress(psutil.NoSuchProcess):
                    listens = {c.laddr.ip for c in one.net_connections() if c.status == "LISTEN"}
                    assert listens <= {"127.0.0.1", "::ffff:127.0.0.1"}, one.cmdline()
            yield process
        finally:
            below = {*below, *process.children(recursive=True)}
            started.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                started.wait(30)
            for one in (process, *below):
                with contextlib.suppress(psutil.Error):
                    one.kill()
            started.wait()
            shutil.rmtree(folder, ignore_errors=True)


def start(log: Path, port: int) -> subprocess.Popen:
    """A cluster. Ray gives up after 30 s, in which a busy machine may not have started one."""
    words = [
        "--head", "--block", "--node-ip-address=127.0.0.1", f"--port={port}", "--dashboard-host=127.0.0.1",
        "--include-dashboard=false", "--disable-usage-stats", "--num-cpus=2", "--object-store-memory=100000000",
    ]  # fmt: skip
    command = [sys.executable, "-c", "from ray.scripts.scripts import main; main()", "start", *words]
    environ = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}  # a head has none
    for _ in range(3):
        with log.open("w") as file:
            process = subprocess.Popen(command, env=environ, stdout=file, stderr=file)
        wait_for(lambda: "Ray runtime started" in log.read_text() or process.poll() is not None)  # noqa: B023
        if process.poll() is None:
            return process
    pytest.fail(log.read_text())


@pytest.fixture
def queue(tmp_path, cluster) -> Path:
    (tmp_path / "queue.yaml").write_text("executor: ray\n")
    return tmp_path / "queue.yaml"


def worker_of(cluster: psutil.Process, folder: Path) -> psutil.Process:
    """Ray's process beside the trial in `folder`."""

    def find() -> psutil.Process:
        return next(
            one for one in cluster.children(recursive=True)
            if one.cmdline()[0].startswith("ray::Runner")
            if any(child.environ().get("NNI_OUTPUT_DIR") == str(folder) for child in one.children())
        )  # fmt: skip

    return wait_for(find)


def test_the_log_the_reports_and_the_exit_code_come_back(queue, tmp_path):
    trial = Trial(tmp_path / "abcde", queue, "-c", REPORTS.format(seconds=4), "epochs=2")
    assert trial.end() == 7
    said = r"job abcde-\w{8} is in the queue \(ray\)\ntrained epochs=2 threads=1 0\ndone\n"
    assert re.fullmatch(said, trial.text("stdout"))
    assert trial.text("stderr") == "a warning\n"
    assert (trial.folder / ".nni" / "metrics").stat().st_mtime > time.time() - 100
    assert not (trial.folder / FOLDER / JOB).exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_ends_the_job_in_time(cluster, queue, tmp_path, number):
    code = LONG.replace(
        "import sys", "import signal, sys; signal.signal(15, lambda *_: sys.exit('asked')); import sys"
    )
    trial = Trial(tmp_path / "abcde", queue, "-c", code)
    wait_for(lambda: "begins" in trial.text("stdout"))
    worker = worker_of(cluster, trial.folder)
    processes = [worker, *worker.children()]
    trial.process.send_signal(number)
    assert trial.end(60) == 143
    assert psutil.wait_procs(processes, 30)[1] == []
    assert trial.text("stderr") == "asked\n"


def test_a_job_that_is_stopped_while_it_waits_never_begins(cluster, queue, tmp_path):
    queue.write_text("executor: ray\ncpus: 2\n")
    first = Trial(tmp_path / "first", queue, "-c", LONG)
    wait_for(lambda: "begins" in first.text("stdout"))
    second = Trial(tmp_path / "second", queue, "-c", LONG)
    wait_for(lambda: "is in the queue" in second.text("stdout"))
    second.process.terminate()
    assert second.end(60) == 143
    assert not (second.folder / FOLDER / JOB).exists()
    first.process.terminate()
    assert first.end(60) == 143
    third = Trial(tmp_path / "third", queue, "-c", "")
    assert third.end() == 0
    assert "begins" not in second.text("stdout")


def test_a_job_that_ray_ends_looks_like_a_trial_ended_by_a_signal(cluster, queue, tmp_path):
    trial = Trial(tmp_path / "abcde", queue, "-c", LONG)
    wait_for(lambda: "begins" in trial.text("stdout"))
    worker = worker_of(cluster, trial.folder)
    (child,) = worker.children()
    worker.kill()
    assert trial.end() == 143
    assert psutil.wait_procs([child], 30)[1] == []
    assert re.search(
        r"job abcde-\w{8} was ended by the queue: The actor is dead because", trial.text("stderr")
    )


def test_a_killed_wrapper_leaves_its_job_to_the_next(cluster, queue, tmp_path):
    code = "import os, sys, time; print('begins', flush=True)\nwhile not os.path.exists('GO'): time.sleep(.1)\nsys.exit(7)"
    words = ["-c", code.replace("GO", str(tmp_path / "go"))]
    first = Trial(tmp_path / "abcde", queue, *words)
    wait_for(lambda: "begins" in first.text("stdout"))
    worker = worker_of(cluster, first.folder)
    first.process.kill()
    time.sleep(5)
    second = Trial(tmp_path / "abcde", queue, *words)
    wait_for(lambda: second.text("stdout").count("begins") == 2)
    assert worker_of(cluster, second.folder) == worker
    (tmp_path / "go").touch()
    assert second.end() == 7
    assert second.text("stdout").count("is in the queue") == 1


def test_a_killed_and_stopped_trial_has_the_run_and_reports_of_one_without_a_queue(
    cluster, queue, people, tmp_path
):
    """The worker is killed, as for want of memory. Ray then sends SIGTERM to the trial, and soon SIGKILL."""

    def kill(folder):
        worker_of(cluster, folder).kill()

    goes_on(queue, people, tmp_path, kill, "interrupted", "failed")


def test_what_the_cluster_can_not_do_is_refused(cluster, queue, tmp_path):
    start = START.format("queue.yaml")
    assert queue_errors({}, start, tmp_path) == []
    queue.write_text("executor: ray\ngpus: 7\n")
    said = "no node of the Ray cluster has CPU 1, GPU 7; its nodes have CPU 2, GPU 0"
    assert queue_errors({}, start, tmp_path) == [said]


def test_no_cluster_answers(tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    port = free_port()
    (tmp_path / "queue.yaml").write_text(f"executor: ray\naddress: 127.0.0.1:{port}\n")
    (found,) = queue_errors({}, START.format("queue.yaml"), tmp_path)
    said = f"address: no Ray cluster answers at 127.0.0.1:{port}, or not to this machine: "
    assert found.startswith(said)
    trial = Trial(tmp_path / "abcde", tmp_path / "queue.yaml", "-c", LONG)
    assert trial.end() == 2
    assert said in trial.text("stderr")
