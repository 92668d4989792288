"""Who can use NNI's page, REST interface and tuner's channel: asked of a real manager while it runs."""

import json
import os
import socket
import subprocess
import sys

import pytest

from tests.nni_server import TinyExperiment, listening

pytestmark = [pytest.mark.server, pytest.mark.slow]
STATUS = "/api/v1/nni/check-status"


@pytest.fixture(scope="module")
def manager(tmp_path_factory):
    """A running experiment that waits: two of its three trials sleep; with all begun it would be NO_MORE_TRIAL."""
    tiny = TinyExperiment.write(tmp_path_factory.mktemp("access"), trials=3)
    (tiny.folder / "trial.py").write_text("import time, nni; nni.get_next_parameter(); time.sleep(900)")
    (tiny.folder / "runs").mkdir()
    (tiny.folder / "runs" / "stdout").write_text("outside of the experiment")
    before = set(listening())
    try:
        tiny.create()
        tiny.opened = {port: ips for port, ips in listening().items() if port not in before}
        yield tiny
    finally:
        tiny.stop()


def answer(port: int, request: str) -> str:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(request.encode())
        parts = iter(lambda: connection.recv(65536), b"")
        return b"".join(parts).decode(errors="replace")


def ask(manager, path=STATUS, method="GET", body="", **headers) -> str:
    headers = {"Host": f"localhost:{manager.port}", "Connection": "close", **headers}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items() if value)]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return answer(manager.port, "\r\n".join([*lines, "", body]))


def code(text: str) -> int:
    return int(text.split()[1])


def test_it_listens_on_loopback_only(manager):
    """Whatever started to listen while the experiment did."""
    assert manager.opened[str(manager.port)] == {"127.0.0.1"}
    assert set().union(*manager.opened.values()) <= {"127.0.0.1", "::1"}


LOCAL = ["localhost", "localhost:9000", "127.0.0.1:8080", "127.0.0.1:1", "[::1]:8080", "LOCALHOST:8080"]
FOREIGN = [
    "example.com", "example.com:8080", "localhost.example.com", "127.0.0.1.example.com", "example.com:localhost",
    "192.168.0.7:8080", "0.0.0.0:8080", "localhost@example.com", "127.0.0.2", "localhost:8080, example.com", "",
]  # fmt: skip


@pytest.mark.parametrize("host", LOCAL)
def test_a_tunnel_may_end_at_any_port(manager, host):
    assert code(ask(manager, Host=host)) == 200
    assert code(ask(manager, Host=host, Origin=f"http://{host}")) == 200


@pytest.mark.parametrize("host", FOREIGN)
def test_a_foreign_host_is_refused(manager, host):
    """A page whose name was made to lead to 127.0.0.1 (DNS rebinding)."""
    assert code(ask(manager, Host=host)) in ((403,) if host else (400, 403))


@pytest.mark.parametrize(
    "origin",
    [
        "http://example.com",
        "https://localhost:{port}",
        "null",
        "http://localhost:1",
        "file://",
        "http://localhost",
    ],
)
@pytest.mark.parametrize(
    ("method", "path"), [("GET", STATUS), ("DELETE", "/api/v1/nni/experiment"), ("POST", "/x")]
)
def test_a_foreign_page_is_refused(manager, origin, method, path):
    assert code(ask(manager, path, method, Origin=origin.format(port=manager.port))) == 403
    assert code(ask(manager)) == 200, "it goes on"


UPGRADE = {
    "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}  # fmt: skip


@pytest.mark.parametrize("path", ["/tuner", "/x"])
@pytest.mark.parametrize(
    "foreign", [{"Host": "example.com"}, {"Origin": "http://example.com"}, {"Origin": "null"}]
)
def test_a_foreign_page_does_not_get_the_tuners_channel(manager, path, foreign):
    assert code(ask(manager, path, **UPGRADE, **foreign)) == 403
    assert json.loads(ask(manager).partition("\r\n\r\n")[2])["status"] == "RUNNING", (
        "its tuner is still connected"
    )


@pytest.mark.parametrize("path", ["/netron", "/NETRON/index.html", "/netron/?x=1"])
def test_nothing_is_handed_on_to_another_site(manager, path):
    text = ask(manager, path)
    assert code(text) == 403
    assert "another site" in text


def test_tensorboard_is_not_started(manager):
    text = ask(manager, "/api/v1/nni/tensorboard", "POST", json.dumps({"trials": "../../../elsewhere"}))
    assert "TensorBoard would listen on every address" in text
    assert not (manager.folder.parent / "elsewhere").exists()


@pytest.mark.parametrize("path", ["/api/v1/nni/trial-jobs", "/api/v1/nni/Trial-Jobs/?x=1"])
def test_a_trial_that_the_tuner_did_not_choose_is_refused(manager, path):
    """The page's "Customized trial". NNI gives it no number, and the dispatcher ends."""
    text = ask(manager, path, "POST", json.dumps({"x": 0.5}))
    assert code(text) == 403
    assert "the tuner would end with a trial that it did not choose" in text
    assert code(ask(manager, "/api/v1/nni/trial-jobs")) == 200, "the list of trials is there"
    assert json.loads(ask(manager).partition("\r\n\r\n")[2])["status"] == "RUNNING"


OUTSIDE = [
    "/api/v1/nni/trial-file/..%2F../stdout", "/api/v1/nni/trial-file/..%2F..%2F..%2Fruns/stdout",
    "/api/v1/nni/trial-file/..%5C..%5C/stdout", "/api/v1/nni/trial-file/%2E%2E/stdout",
    "/logs/..%2Fdb%2Fnni.sqlite", "/logs/../db/nni.sqlite", "/logs/%2e%2e/db/nni.sqlite", "/..%2f..%2f..%2fetc/passwd",
    "/../../../../../../etc/passwd", "/logs/%2Fetc%2Fpasswd", "/logs//etc/passwd", "/static/..%00/main.js",
    "/%2e%2e/package.json",
]  # fmt: skip


@pytest.mark.parametrize("path", OUTSIDE)
def test_nothing_outside_the_experiment_can_be_read(manager, path):
    text = ask(manager, path)
    assert code(text) in (400, 403, 404) or "<!doctype html>" in text.lower()  # its page, for unknown paths
    for secret in ("outside of the experiment", "root:", "SQLite format", '"dependencies"'):
        assert secret not in text


def test_no_other_page_can_frame_it(manager):
    assert "x-frame-options: sameorigin" in ask(manager, "/").lower()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be another user")
def test_another_user_of_this_machine_gets_no_answer(manager):
    ours = f"import socket; s = socket.create_connection(('127.0.0.1', {manager.port})); s.sendall(b'GET {STATUS} HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n'); print(s.recv(100)[:12])"
    command = [sys.executable, "-S", "-c", ours]
    environ = {"PATH": "/usr/bin"}
    allowed = subprocess.run(command, capture_output=True, text=True, env=environ)
    assert "HTTP/1.1 200" in allowed.stdout
    program = ["/usr/bin/env", "python3", "-S", "-c", ours]
    refused = subprocess.run(
        program,
        capture_output=True,
        text=True,
        env=environ,
        user=65534,
        group=65534,
        extra_groups=[],
        cwd="/",
    )
    assert "HTTP" not in refused.stdout
    assert refused.stdout == "b''\n" or "ConnectionResetError" in refused.stderr, refused
