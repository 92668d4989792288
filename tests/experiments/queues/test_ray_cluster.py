"""What queue.yaml says for Ray, and what is done there; with stand-ins for Ray, which need not be installed."""

import os
import signal
import subprocess
import sys
import time
import types

import pytest

from common.errors import UsageError
from experiments.checks.queue import queue_errors, read_queue
from experiments.queues import ray_cluster
from experiments.queues.job import Queue
from experiments.queues.ray_cluster import MISSING, RayJob, Runner, node_errors
from tests.experiments.checks.test_queue import START

SMALL = {"CPU": 4.0, "memory": 8 * 2**30, "node:10.0.0.1": 1.0}
LARGE = {"CPU": 16.0, "GPU": 2.0, "memory": 64 * 2**30, "accelerator_type:A100": 1.0, "disk": 1.0}


def read(tmp_path, text):
    (tmp_path / "queue.yaml").write_text(text)
    return read_queue(tmp_path / "queue.yaml")


def test_a_good_one(tmp_path):
    text = (
        "executor: ray\naddress: head:6379\ngpus: 1\ncpus: 8\nmemory: 32\noptions: {accelerator_type: A100}"
    )
    options = {"accelerator_type": "A100"}
    assert read(tmp_path, text) == Queue("ray", None, None, 1, 8, 32, options, "head:6379")
    assert read(tmp_path, "executor: ray") == Queue("ray")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("partition: gpu", "partition: executor ray has none; leave it out"),
        ("minutes: 60", "minutes: executor ray has none; leave it out"),
        ("address: http://head:8265", "address: 'http://head:8265' is not HOST:PORT"),
        ("options: {num_gpus: 1}", "options.num_gpus: write gpus"),
        ("options: {resource: {disk: 1}}", "options: unknown option 'resource'; did you mean resources?"),
        ("options: {resources: {disk: lots}}", "options.resources: is not a mapping of custom resources to"),
        ("options: {resources: 1}", "options.resources: is not a mapping of custom resources to"),
        ("options: {accelerator_type: 100}", "options.accelerator_type: is not a text"),
    ],
)
def test_one_mistake(tmp_path, text, said):
    with pytest.raises(UsageError, match=r"queue\.yaml: ") as caught:
        read(tmp_path, f"executor: ray\n{text}")
    assert said in str(caught.value) and len(caught.value.errors) == 1


@pytest.mark.parametrize(
    "asked",
    [
        {"cpus": 4},
        {"gpus": 2, "cpus": 16, "memory": 64},
        {"gpus": 1, "options": {"accelerator_type": "A100", "resources": {"disk": 1}}},
    ],
)
def test_a_node_that_has_all_is_enough(asked):
    assert node_errors(Queue("ray", **asked), [SMALL, LARGE]) == []


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"gpus": 4}, "CPU 1, GPU 4; its nodes have CPU 16, GPU 2 / CPU 4, GPU 0"),
        ({"cpus": 8, "memory": 100}, "CPU 8, memory 100.0 GB; its nodes have CPU 16, memory 64.0 GB / CPU 4, memory 8.0 GB"),
        ({"options": {"accelerator_type": "H200"}}, "CPU 1, accelerator_type:H200 0.001; its nodes have CPU 16"),
        ({"options": {"resources": {"disk": 2}}}, "CPU 1, disk 2; its nodes have CPU 16, disk 1 / CPU 4, disk 0"),
    ],
)  # fmt: skip
def test_a_job_for_which_no_node_is_large_enough(asked, said):
    (found,) = node_errors(Queue("ray", **asked), [SMALL, LARGE])
    assert found.startswith(f"no node of the Ray cluster has {said}")


def test_a_cluster_without_nodes():
    assert node_errors(Queue("ray"), []) == ["no node of the Ray cluster has CPU 1; its nodes have nothing"]


def test_without_ray(tmp_path, monkeypatch):
    monkeypatch.setattr(ray_cluster.importlib.util, "find_spec", lambda name: None)
    (tmp_path / "queue.yaml").write_text("executor: ray")
    assert queue_errors({}, START.format("queue.yaml"), tmp_path) == [MISSING]
    with pytest.raises(UsageError, match="Ray is not installed"):
        RayJob.submit(Queue("ray"), tmp_path, "abcde", ["true"], {})


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """Makes a package `ray`, whose init does this."""

    def make(init: str) -> None:
        (tmp_path / "lib" / "ray").mkdir(parents=True)
        (tmp_path / "lib" / "ray" / "__init__.py").write_text(
            f"def init(*given, **named):\n    print('a warning', given)\n    {init}\n"
            f"def nodes(): return [{{'Alive': True, 'Resources': {SMALL}}}, {{'Alive': False, 'Resources': {LARGE}}}]"
        )
        monkeypatch.syspath_prepend(str(tmp_path / "lib"))
        monkeypatch.setenv("PYTHONPATH", str(tmp_path / "lib"))
        monkeypatch.delitem(sys.modules, "ray", raising=False)
        for name in ("RAY_ADDRESS", *ray_cluster.ENVIRON):
            monkeypatch.delenv(name, raising=False)

    yield make
    sys.modules.pop("ray", None)
    for name in ray_cluster.ENVIRON:
        os.environ.pop(name, None)


def test_the_cluster_is_asked_before_a_search(tmp_path, stand_in):
    stand_in("pass")
    for cpus, found in ((4, 0), (5, 1)):
        (tmp_path / "queue.yaml").write_text(f"executor: ray\ncpus: {cpus}")
        errors = queue_errors({}, START.format("queue.yaml"), tmp_path)
        assert len(errors) == found
    assert errors == ["no node of the Ray cluster has CPU 5; its nodes have CPU 4"]
    assert "ray" not in sys.modules, "it changes signals and environment"


def test_a_cluster_that_does_not_answer(tmp_path, stand_in):
    stand_in("raise ConnectionError('nobody is there\\nat all')")
    said = (
        "address: no Ray cluster answers at head:6379, or not to this machine: nobody is there (and 1 more)"
    )
    assert RayJob.errors(Queue("ray", address="head:6379")) == [said]
    (found,) = RayJob.errors(Queue("ray"))
    assert found.startswith("address: no Ray cluster answers on this machine")


def test_the_handlers_of_signals_stay(stand_in, monkeypatch):
    """ray.init puts its own there, which would end the wrapper before it has cancelled the job."""
    stand_in("import signal; signal.signal(signal.SIGTERM, signal.SIG_DFL)")
    before = signal.signal(signal.SIGTERM, mine := lambda *_: None)
    try:
        assert ray_cluster._connect(None) == [SMALL]
        assert signal.getsignal(signal.SIGTERM) is mine
    finally:
        signal.signal(signal.SIGTERM, before)


class Actor:
    """A Runner without Ray, whose process would end it."""

    def __init__(self, tmp_path, monkeypatch, code, **environ):
        self.left = []
        context = types.SimpleNamespace(current_actor="me")
        ray = types.SimpleNamespace(kill=self.left.append, get_runtime_context=lambda: context)
        monkeypatch.setitem(sys.modules, "ray", ray)
        self.files = [tmp_path / name for name in ("out", "err", "code")]
        self.runner = Runner(
            [sys.executable, "-c", code], environ, str(tmp_path), [str(path) for path in self.files]
        )

    def end(self):
        end = time.monotonic() + 60
        while not self.left and time.monotonic() < end:
            time.sleep(0.05)
        assert self.left == ["me"]
        return [path.read_text() for path in self.files]


def test_what_the_actor_leaves(tmp_path, monkeypatch):
    code = "import os, sys; print(os.environ['NAME'], os.getcwd()); print('a warning', file=sys.stderr); sys.exit(7)"
    actor = Actor(tmp_path, monkeypatch, code, NAME="abcde")
    assert actor.end() == [f"abcde {tmp_path}\n", "a warning\n", "7"]
    assert RayJob(tmp_path, "abcde", None).result == tmp_path / "abcde.code"


def test_the_actor_stops_its_trial_by_sigterm_and_then_by_sigkill(tmp_path, monkeypatch):
    code = "import signal; signal.signal(signal.SIGTERM, lambda *_: print('asked', flush=True)); print('begins', flush=True)"
    actor = Actor(tmp_path, monkeypatch, f"{code}\nwhile True: signal.pause()")
    while "begins" not in actor.files[0].read_text():
        time.sleep(0.05)
    actor.runner.stop(0.5)
    assert actor.end() == ["begins\nasked\n", "", "-9"]
    job = RayJob(tmp_path, "abcde", None)
    job.result.write_text("-9")
    assert job.exit_code() == 137


def test_an_actor_that_can_not_start_its_trial_says_so(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        Runner(["true"], {}, "/nowhere", [str(tmp_path / name) for name in ("out", "err", "code")])


def test_the_module_does_not_import_ray(tmp_path):
    code = "import sys, experiments.checks.queue; sys.exit('ray' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
