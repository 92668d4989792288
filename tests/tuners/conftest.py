import pytest


@pytest.fixture(autouse=True)
def outside(monkeypatch):
    """Not in the dispatcher of an experiment, unless the test makes one."""
    monkeypatch.delenv("NNI_LOG_DIRECTORY", raising=False)


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """The folder of an experiment, as NNI's manager writes it."""
    from tests.tuners.fake_nni import FakeNNI

    return FakeNNI(tmp_path / "abcdefgh", monkeypatch)


@pytest.fixture
def manager(fake):
    """NNI's manager, of a search that pauses trials."""
    from tests.tuners.manager import Manager

    return Manager(fake)
