"""A whole run and one that was killed, for the tests of going on. They change copies only."""

import pytest

from tests.trial.killed_runs import PLAIN, config_of, killed, whole, write_status
from trial.run_folder.record import RunFolder


@pytest.fixture(scope="session")
def plain(people, tmp_path_factory):
    """(A config, the folder of its whole run)."""
    config = config_of(people, **PLAIN)
    folder = tmp_path_factory.mktemp("plain") / "whole"
    whole(folder, config)
    return config, folder


@pytest.fixture(scope="session")
def stopped(plain, tmp_path_factory):
    """(A config, the folder of its run, killed after epoch 2 of 3)."""
    config, _ = plain
    folder = tmp_path_factory.mktemp("stopped") / "run"
    with pytest.MonkeyPatch.context() as patch:
        killed(folder, config, patch)
    status = RunFolder(folder).status()
    write_status(folder, status | {"state": "interrupted"})  # its process, this one, lives
    return config, folder
