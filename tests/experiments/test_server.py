"""Starting NNI's server: what a start that failed leaves behind."""

import pytest

from common.errors import UsageError
from experiments import server

STARTED = 'To stop experiment run "nnictl stop abcd1234" or "nnictl stop --all"'


def test_a_start_that_lost_the_port_to_another_one_leaves_no_experiment(tmp_path, monkeypatch):
    """nnictl takes the other manager's answer for that of its own, which is gone."""

    def create(*words, **_):
        (tmp_path / "abcd1234" / "log").mkdir(parents=True)
        return STARTED

    monkeypatch.setattr(server, "_nnictl", create)
    with pytest.raises(UsageError, match="taken by another experiment"):
        server.start(tmp_path / "x.yaml", 8080, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_one_that_has_begun_trials_stays(tmp_path, monkeypatch):
    (tmp_path / "abcd1234" / "trials").mkdir(parents=True)
    monkeypatch.setattr(server, "_nnictl", lambda *words, **_: STARTED)
    with pytest.raises(UsageError, match="taken by another experiment"):
        server.start(tmp_path / "x.yaml", 8080, tmp_path)
    assert (tmp_path / "abcd1234").is_dir()
