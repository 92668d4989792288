"""An SSH server of this user's on a free port of 127.0.0.1, to which machines of a machines.yaml lead."""

import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from getpass import getuser
from pathlib import Path

import pytest

from common.machine import PROJECT
from experiments.checks.ports import taken
from experiments.machines.listed import Machine
from tests.nni_server import free_port

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin")
CONFIG = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
PidFile {folder}/pid
AuthorizedKeysFile {folder}/key.pub {folder}/with_command
StrictModes no
UsePAM no
PasswordAuthentication no
Subsystem sftp internal-sftp
"""


@dataclass(frozen=True)
class Sshd:
    folder: Path
    port: int

    def machine(self, name: str = "one", **values) -> Machine:
        """A machine that is this one, with this project."""
        project = self.folder / name  # each has a folder of its own
        if not project.exists():
            project.symlink_to(PROJECT)
        given = {
            "host": "127.0.0.1", "user": getuser(), "key": str(self.folder / "key"), "project": str(project),
            "python": sys.executable, "port": self.port, "known_hosts": str(self.folder / "known"),
        }  # fmt: skip
        return Machine(name, **{**given, **values})

    def machine_that_runs(self, command: str, folder: Path) -> Machine:
        """A machine whose login script runs `command` before what is asked for."""
        key = make_key(folder / "own_key")
        first = f'command="{command}; eval \\"$SSH_ORIGINAL_COMMAND\\""'
        (self.folder / "with_command").write_text(f"{first} {key.with_suffix('.pub').read_text()}")
        return self.machine("chatty", key=str(key))


def make_key(path: Path, kind: str = "ed25519", *more: str) -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", path, *more], check=True)
    return path


@pytest.fixture(scope="session")
def sshd(tmp_path_factory):
    if SSHD is None or not shutil.which("ssh"):
        pytest.skip("no SSH server is installed here (Debian, Ubuntu: apt install openssh-server)")
    server = Sshd(tmp_path_factory.mktemp("sshd"), free_port())
    host, _ = make_key(server.folder / "host"), make_key(server.folder / "key")
    address = f"[127.0.0.1]:{server.port}"
    (server.folder / "known").write_text(f"{address} {host.with_suffix('.pub').read_text()}")
    config = server.folder / "config"
    config.write_text(CONFIG.format(folder=server.folder, port=server.port))
    with (server.folder / "log").open("w") as log:
        process = subprocess.Popen([SSHD, "-D", "-e", "-f", config], stderr=log)
    try:
        end = time.monotonic() + 20
        while not taken(server.port):
            if process.poll() is not None or time.monotonic() > end:
                pytest.skip(f"the SSH server does not start: {(server.folder / 'log').read_text()}")
            time.sleep(0.1)
        yield server
    finally:
        process.terminate()
        process.wait()
