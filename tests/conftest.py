"""Shared by many tests: a small set of drawn people, and commands called in this process."""

import os
import signal
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from common.log import show_logs
from common.machine import PROJECT, cores
from dataset.face_masks.drawing.synthetic import draw

show_logs()  # as in a command, also if a test calls a function of a library

# Before torch is imported: tests run side by side, and with a thread for each core in every one of them they take
# several times as long.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """-n auto: a worker per core; two if tests with NNI's server run, which mostly wait."""
    return cores() if "not server" in config.option.markexpr else 2 * cores()


TINY = {  # a minimal recipe
    "model": "test_resnet.r160_in1k", "weights": "none", "image_size": "32x32", "epochs": 2, "batch_size": 32,
    "learning_rate": 0.003, "optimizer": "adamw", "schedule": "onecycle", "threads": 1,
    "cache_limit": 0,  # otherwise each set that a test draws would leave an array in out/cache
}  # fmt: skip


def call(app: typer.Typer, *words: object) -> Result:
    """Run a command in this process, which saves the seconds that a new one needs for its imports: exit_code,
    stdout and stderr. An exception that the command lets through is raised. A trial blocks SIGTERM in its process
    (trial/process/signals.py), which is not the test's own."""
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    try:
        result = CliRunner().invoke(app, [str(word) for word in words])
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture(autouse=True)
def same_draws() -> None:
    """A test that draws from torch without a seed draws the same each time, and in any order of the tests."""
    if torch := sys.modules.get("torch"):
        torch.manual_seed(0)


@pytest.fixture(scope="session")
def people(tmp_path_factory) -> Path:
    """A set of drawn people, shared by tests: 30 in train/, 6 in eval/, photos of 64 x 48. Do not change it."""
    return draw(tmp_path_factory.mktemp("drawn") / "set", people=30, height=64, width=48)


@pytest.fixture(scope="session")
def standin() -> Path:
    path = PROJECT.parent / "shared" / "data" / "standin"
    if not path.is_dir():
        pytest.skip("the stand-in photos are not here (../shared/data/standin)")
    return path
