"""What the warm server and its clients do when something fails: the quick tests, without torch."""

import gc
import json
import os
import signal
import socket
import subprocess
import sys
from itertools import pairwise
from types import SimpleNamespace

import psutil
import pytest

from common.machine import PROJECT
from trial import advisor
from trial.warm import client, server
from trial.warm.client import GO, READY, STOP

WHOLE = json.dumps({"arguments": [], "environ": {}, "folder": "/"}).encode()  # request
# A server that never imports anything; its trials sleep. `no_pidfd`: what os.pidfd_open does from now on.
SERVE = """
import errno, os, socket, sys, time
import psutil
from trial.warm import client, server

def no_pidfd(process):
    raise OSError(errno.EMFILE, "Too many open files")

listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
listener.bind(client.address(int(sys.argv[1])))
listener.listen()
os.pidfd_open = no_pidfd
print("listens", flush=True)
if server.serve(listener, psutil.Process(int(sys.argv[1])), server.code_mark()):
    time.sleep(60)
"""


@pytest.fixture
def sigterm():
    """SIGTERM is as before, after the test too."""
    before = signal.getsignal(signal.SIGTERM)
    yield before
    signal.signal(signal.SIGTERM, before)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


@pytest.fixture
def ends():
    """Two ends of a connection, as between client and server."""
    both = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    yield both
    for end in both:
        end.close()


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


class StoppedAtGo(socket.socket):
    def send(self, word: bytes) -> int:
        if word == GO:
            signal.raise_signal(signal.SIGTERM)
        return super().send(word)


def test_a_sigterm_just_before_go_is_passed_on_after_it(ends, monkeypatch, sigterm):
    trial, caller = ends
    connection = StoppedAtGo(fileno=caller.detach())
    monkeypatch.setattr(client, "_connect", lambda manager: connection)
    trial.send(READY)
    assert client._start([], psutil.Process()) is connection
    json.loads(trial.recv(client.MAX_BYTES))
    assert [trial.recv(16), trial.recv(16)] == [GO, STOP]
    connection.close()


def test_a_trial_that_is_gone_before_go_leaves_sigterm_as_it_was(ends, monkeypatch, sigterm):
    trial, caller = ends
    monkeypatch.setattr(client, "_connect", lambda manager: caller)
    monkeypatch.setattr(socket, "send_fds", lambda *given: None)
    trial.send(READY)
    trial.close()
    with pytest.raises(OSError, match="pipe"):
        client._start([], psutil.Process())
    assert signal.getsignal(signal.SIGTERM) == sigterm
    assert signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


@pytest.mark.parametrize(
    ("state", "code", "word"),
    [
        ("done", 0, ""), ("interrupted", 143, ""), ("failed", 1, "loss is nan"), ("running", 1, "killed or crashed"),
        (None, 1, "ended before it could write one"),
    ],
)  # fmt: skip
def test_when_the_server_was_killed_the_run_folder_says_how_it_ended(
    ends, tmp_path, monkeypatch, caplog, state, code, word
):
    monkeypatch.setenv("NNI_OUTPUT_DIR", str(tmp_path))
    if state:
        gone = {"pid": 2**22 + 1, "started": 0, "host": os.uname().nodename}
        (tmp_path / "status.json").write_text(
            json.dumps({"state": state, "reason": "loss is nan", "process": gone})
        )
    ends[0].close()
    assert client._exit_code(ends[1]) == code
    assert len(caplog.messages) == (code == 1)
    assert word in caplog.text


def test_without_pidfd_open_it_refuses_and_the_trial_says_that_it_starts_by_itself(
    monkeypatch, capfd, caplog
):
    code = "import os\nfrom trial.warm import server\ndel os.pidfd_open\nserver.main(os.getppid())"
    monkeypatch.setattr(advisor, "in_experiment", lambda: True)
    monkeypatch.setattr(advisor, "manager", psutil.Process)
    monkeypatch.delenv(client.SWITCH, raising=False)
    run = subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda _, **more: run([sys.executable, "-c", code], **more))
    assert client.hand_over([]) is None
    assert capfd.readouterr().err.startswith("a warm server needs pidfd_open, of Linux 5.3")
    assert caplog.messages == ["no warm server (it didn't start): this trial starts by itself"]


@pytest.mark.parametrize(
    ("packet", "files"), [(b"", 0), (b"{", 1), (b"[]", 2), (b'{"arguments": []}', 2), (WHOLE, 0), (WHOLE, 1)]
)
def test_a_request_that_is_none_leaves_no_file_open(ends, packet, files):
    caller, accepted = ends
    listener = SimpleNamespace(accept=lambda: (accepted, None))
    gc.collect()  # or files that other tests left are closed in between
    before = open_files()
    socket.send_fds(caller, [packet], [0] * files)
    assert server._accept(listener, server.code_mark()) is None
    assert accepted.fileno() == -1
    assert open_files() == before - 1


def test_a_request_is_handed_on_with_its_output(ends):
    caller, accepted = ends
    socket.send_fds(caller, [WHOLE], [0, 0])
    listener = SimpleNamespace(accept=lambda: (accepted, None))
    request = server._accept(listener, server.code_mark())
    assert (request.client, request.folder, len(request.output)) == (accepted, "/", 2)
    request.close_output()


def test_a_server_that_can_open_no_file_makes_way_for_another():
    def full():
        raise OSError(24, "Too many open files")

    closed = []
    listener = SimpleNamespace(accept=full, close=lambda: closed.append(True))
    assert server._accept(listener, []) is None
    assert closed


def test_a_trial_that_cannot_be_watched_is_ended_and_the_server_goes_on(ends):
    me = os.getpid()
    serving = subprocess.Popen(
        [sys.executable, "-c", SERVE, str(me)], cwd=PROJECT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert serving.stdout.readline() == "listens\n"
        for _ in range(2):
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as caller:
                caller.settimeout(20)
                caller.connect(client.address(me))
                socket.send_fds(caller, [WHOLE], [1, 2])
                assert caller.recv(16) == b""
        assert serving.poll() is None
        assert psutil.Process(serving.pid).children() == []
    finally:
        serving.kill()
        serving.communicate()


def test_the_mark_of_the_code_sees_catalogues_and_files_that_go(tmp_path, monkeypatch):
    monkeypatch.setattr(server, "PROJECT", tmp_path)
    (tmp_path / "trial").mkdir()
    (tmp_path / "common").mkdir()
    (tmp_path / "dataset").mkdir()
    catalogue, code = tmp_path / "trial" / "catalogue.json", tmp_path / "dataset" / "code.py"
    marks = [server.code_mark()]
    for step in (
        catalogue.touch,
        lambda: os.utime(catalogue, (1, 1)),
        code.touch,
        lambda: (code.unlink(), code.symlink_to("nowhere")),  # listed, and gone when it is looked at
        code.unlink,
    ):
        step()
        marks.append(server.code_mark())
    assert all(one != other for one, other in pairwise(marks))


ANOTHER_USER = {
    "user": 65534,
    "group": 65534,
    "extra_groups": [],
    "cwd": "/",
    "env": {"PATH": "/usr/bin:/bin"},
}
CONNECT = """
import socket, sys
end = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
address = bytes.fromhex(sys.argv[1])
if sys.argv[2] == "listen":
    end.bind(address)
    end.listen()
    print("listens", flush=True)
    end.accept()[0].recv(1)
else:
    end.connect(address)
    try:
        socket.send_fds(end, [sys.argv[2].encode()], [1, 2])
        print(end.recv(16))
    except ConnectionError:
        print(b"")
"""
needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can be another user")


def begin(*words: str, **user):
    command = ["/usr/bin/env", "python3", "-S", "-c", CONNECT, *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **user)


@needs_root
@pytest.mark.parametrize(("user", "taken"), [(ANOTHER_USER, False), ({}, True)])
def test_another_users_request_is_refused(user, taken):
    address = client.address(os.getpid())
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(address)
        listener.listen()
        caller = begin(address.encode().hex(), WHOLE.decode(), **user)
        request = server._accept(listener, server.code_mark())
        assert (request is not None) == taken
        if request:
            request.close_output()
            request.client.close()
        assert caller.communicate(timeout=20)[0] == "b''\n"


@needs_root
def test_a_trial_is_not_handed_to_another_users_server():
    other = begin(client.address(os.getpid()).encode().hex(), "listen", **ANOTHER_USER)
    try:
        assert other.stdout.readline() == "listens\n"
        with pytest.raises(PermissionError, match="taken by another user"):
            client._connect(psutil.Process())
    finally:
        other.kill()
        other.communicate()
