"""Optuna's dashboard shows a search's study on loopback, while the search runs, and changes nothing."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import pytest

from common.errors import UsageError
from common.machine import PROJECT
from experiments.access import is_others
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
    thread = threading.Thread(target=server.serve_forever, args=[0.01], daemon=True)
    thread.start()
    yield search, server, f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def answer(address: str, method: str = "GET", headers=None, whole: bool = False):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(address, method=method, headers=headers or {})
    with opener.open(request, timeout=20) as got:
        return got if whole else got.read().decode()


@pytest.mark.slow
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


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "example.com"}, {"Host": "127.0.0.1.example.com"}, {"Host": ""}, {"Origin": "null"},
        {"Origin": "http://example.com"}, {"Origin": "http://localhost:1"},
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/api/studies", "/dashboard/"])
def test_a_foreign_page_is_refused(running, headers, path):
    with pytest.raises(urllib.error.HTTPError, match="403"):
        answer(running[2] + path, headers=headers)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:9000", "127.0.0.1:1", "[::1]:8080"])
def test_a_tunnel_may_end_at_any_port_and_no_page_frames_it(running, host):
    got = answer(f"{running[2]}/api/studies", headers={"Host": host, "Origin": f"http://{host}"}, whole=True)
    assert got.headers["X-Frame-Options"] == "SAMEORIGIN"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells whose a connection is")
def test_a_client_that_has_closed_is_nobody():
    """Its socket has no owner any more: it could be any user's."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        with socket.create_connection(server.getsockname()):
            ours, _ = server.accept()
            assert not is_others(ours)
        assert is_others(ours)
        ours.close()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can start a program as another user")
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells whose a connection is")
@pytest.mark.parametrize(("family", "address"), [("AF_INET", "127.0.0.1"), ("AF_INET6", "::ffff:127.0.0.1")])
def test_another_user_of_this_machine_gets_no_answer(running, family, address):
    port = running[1].server_address[1]
    client = (
        f"import socket; s = socket.socket(socket.{family}); s.connect(('{address}', {port}))\n"
        "s.sendall(b'GET /api/studies HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n')\n"
        "try: print(s.recv(100)[:8].decode())\n"
        "except ConnectionResetError: pass"
    )
    command = ["/usr/bin/env", "python3", "-S", "-c", client]
    for user, said in ((0, "HTTP/1.0"), (65534, "")):
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            cwd="/",
            user=user,
            group=user,
            extra_groups=[],
            timeout=30,
        )
        assert (done.stdout.strip(), done.stderr) == (said, "")


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
