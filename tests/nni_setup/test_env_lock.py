"""Two `make env` at the same time, and one that was killed."""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.nni_setup import test_env
from tests.nni_setup.test_env import REAL, Small, script

pytestmark = test_env.pytestmark


@pytest.fixture
def slow(tmp_path):
    """A small project with a Python that is slow to make an environment, and logs that it does."""
    small = Small(tmp_path)
    small.log = small.programs / "log"
    making = f"*'-m venv'*) echo making >>'{small.log}'; sleep 3 ;;"
    script(small.programs / "slow", f'case "$*" in {making} esac\nexec {REAL} "$@"')
    small.pins("# nothing", no_deps=small.wheel())
    small.slow = {"PYTHON": str(small.programs / "slow")}
    return small


def wait_for(path: Path) -> None:
    end = time.monotonic() + 20
    while not path.exists() and time.monotonic() < end:
        time.sleep(0.05)
    assert path.exists()


def test_the_second_of_two_at_once_waits_for_the_first(slow):
    first = slow.start(**slow.slow)
    wait_for(slow.log)
    others = [slow.start(**slow.slow) for _ in range(2)]
    for run in (first, *others):
        _, err = run.communicate()
        assert run.returncode == 0, err
        assert ("another make env is at work" in err) == (run is not first)
        assert ("making .venv" in err) == (run is first)
    assert slow.log.read_text() == "making\n"
    assert slow.has_wheel()


def test_a_killed_one_is_not_waited_for(slow):
    killed = slow.start(**slow.slow)
    wait_for(slow.log)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    done = slow.env()
    assert (done.returncode, "another make env" in done.stderr) == (0, False)
    assert slow.has_wheel()
