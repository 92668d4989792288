"""Whose connections nni_setup/access.js takes, asked of a plain Node server: quick, without NNI."""

import os
import signal
import socket
import subprocess
import sys

import pytest

from common.machine import PROJECT
from tests.nni_setup.test_startup import NODE

pytestmark = [
    pytest.mark.skipif(NODE is None, reason="NNI, and the Node that it carries, is not installed"),
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells whose a connection is"),
]
NOBODY = 65534
# Prints its port, then a line for each request that it takes.
SERVER = """
const http = require('http');
require(process.argv[1]).guardRequests(http);
const server = http.createServer((request, response) => {
  request.resume().on('end', () => { console.log('took ' + request.url); response.end('taken'); });
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
"""
# Connects to a port, from an address and with a path that are given, and waits for the answer if asked to.
CLIENT = """
import contextlib, socket, sys
port, family, path, waits, close = sys.argv[1:]
mapped = family == "6"
connection = socket.socket(socket.AF_INET6 if mapped else socket.AF_INET)
if ":" in port:
    port, bound = port.split(":")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    connection.bind(("127.0.0.2", int(bound)))
connection.connect(("::ffff:127.0.0.1" if mapped else "127.0.0.1", int(port)))
connection.sendall(f"POST {path} HTTP/1.1\\r\\nHost: localhost\\r\\nContent-Length: 2\\r\\n\\r\\n{{}}".encode())
if close == "shutdown":
    with contextlib.suppress(OSError):  # refused already
        connection.shutdown(socket.SHUT_WR)
if waits == "waits":
    try:
        print(connection.recv(100)[:12].decode())
    except ConnectionResetError:
        print("reset")
"""


class Server:
    """A running server, and requests to it."""

    def __init__(self):
        command = [NODE, "-e", SERVER, str(PROJECT / "nni_setup" / "access.js")]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.port = self.read()

    def read(self) -> str:
        return self.process.stdout.readline().strip()

    def ask(self, path, user=None, family="4", waits="waits", close="", port=None) -> str:
        """What a client of its own process is answered; '' if it does not wait."""
        command = [
            "/usr/bin/env",
            "python3",
            "-S",
            "-c",
            CLIENT,
            port or self.port,
            family,
            path,
            waits,
            close,
        ]
        as_user = {} if user is None else {"user": user, "group": user, "extra_groups": []}
        done = subprocess.run(command, capture_output=True, text=True, cwd="/", timeout=30, **as_user)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def taken(self) -> list[str]:
        """The requests that it took since the last call."""
        assert self.ask("/last") == "HTTP/1.1 200"
        lines = iter(self.read, "took /last")
        return [line.removeprefix("took ") for line in lines]


@pytest.fixture(scope="module")
def server():
    server = Server()
    yield server
    server.process.kill()
    server.process.wait()


as_another = pytest.mark.skipif(os.getuid() != 0, reason="only root can start a program as another user")
FAMILIES = pytest.mark.parametrize("family", ["4", "6"])


@FAMILIES
@pytest.mark.parametrize("close", ["", "shutdown"])
def test_the_same_user_is_answered(server, family, close):
    assert server.ask("/mine", family=family, close=close) == "HTTP/1.1 200"
    assert server.taken() == ["/mine"]


@as_another
@FAMILIES
@pytest.mark.parametrize("close", ["", "shutdown"])
def test_another_user_is_not(server, family, close):
    assert server.ask("/theirs", NOBODY, family, close=close) in ("", "reset")
    assert server.taken() == []


@FAMILIES
@pytest.mark.parametrize("user", [None, pytest.param(NOBODY, marks=as_another)])
def test_a_client_that_closes_at_once_is_not_taken(server, user, family):
    """Its socket has no owner any more when the server looks: another user's looks like root's."""
    server.process.send_signal(signal.SIGSTOP)  # it accepts nothing meanwhile: connections wait
    server.ask("/closed", user, family, waits="closes")
    server.process.send_signal(signal.SIGCONT)
    assert server.taken() == []


@as_another
def test_a_connection_of_ours_from_the_same_port_does_not_let_another_user_in(server):
    """From another loopback address: only the ports are the same."""
    with socket.create_connection(("127.0.0.1", int(server.port))) as ours:
        port = f"{server.port}:{ours.getsockname()[1]}"
        assert server.ask("/theirs", NOBODY, port=port) in ("", "reset")
        assert server.taken() == []
