"""Optuna's dashboard shows a search's study on loopback, while the search runs, and changes nothing."""

import json
import threading
import time
import urllib.error
import urllib.request

import pytest

from common.errors import UsageError
from common.machine import PROJECT
from experiments.dashboard import dashboard
from tests.tuners.fake_nni import FakeNNI

pytest.importorskip("nni")
SPACE = {"lr": {"_type": "uniform", "_value": [0, 1]}}


@pytest.fixture
def running(tmp_path, monkeypatch):
    """A search with two trials, and the address of its dashboard."""
    from tuners.search import Search

    fake = FakeNNI(tmp_path / "abcdefgh", monkeypatch)
    search = Search()
    search.update_search_space(SPACE)
    for i in range(2):
        search.receive_trial_result(i, search.generate_parameters(i), 0.5 + i / 10)
    server = dashboard(fake.folder, None)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield search, server, f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def answer(address: str, method: str = "GET"):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(urllib.request.Request(address, method=method), timeout=20) as got:
        return got.read().decode()


def test_it_shows_the_trials_of_a_running_search(running):
    search, server, address = running
    assert server.server_address[0] == "127.0.0.1"
    studies = json.loads(answer(f"{address}/api/studies"))["study_summaries"]
    assert [study["study_name"] for study in studies] == ["search"]
    number = studies[0]["study_id"]
    trials = json.loads(answer(f"{address}/api/studies/{number}?after=0"))["trials"]
    assert [trial["values"] for trial in trials] == [[0.5], [0.6]]
    search.receive_trial_result(2, search.generate_parameters(2), 0.7)
    end = time.monotonic() + 30  # it looks again every few seconds
    while len(trials) < 3 and time.monotonic() < end:
        time.sleep(0.5)
        trials = json.loads(answer(f"{address}/api/studies/{number}?after=0"))["trials"]
    assert [trial["values"] for trial in trials] == [[0.5], [0.6], [0.7]]
    assert "<html" in answer(f"{address}/dashboard/").lower()


@pytest.mark.parametrize("method", ["DELETE", "POST", "PUT"])
def test_it_changes_nothing(running, method):
    search, _, address = running
    with pytest.raises(urllib.error.HTTPError, match="405"):
        answer(f"{address}/api/studies/0", method)
    assert len(search.study.trials) == 2


def test_a_search_without_a_study(tmp_path):
    with pytest.raises(UsageError, match=r"has no study: only searches by tuners\.search\.Search"):
        dashboard(tmp_path)


def test_a_damaged_study(tmp_path):
    (tmp_path / "study.journal").write_text("{}\n{}\n")
    with pytest.raises(UsageError, match="is damaged"):
        dashboard(tmp_path)


def test_a_port_that_is_taken(running):
    _, server, _ = running
    with pytest.raises(UsageError, match="is in use"):
        dashboard(PROJECT, server.server_address[1])


def test_make_names_the_command():
    makefile = (PROJECT / "Makefile").read_text()
    assert '-m experiments dashboard "$(or $(EXPERIMENT),latest)"' in makefile
