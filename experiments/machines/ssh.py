"""The system's ssh client: one command on a machine, and what to do if it can't be reached."""

import os
import shlex
import subprocess
from pathlib import Path

from experiments.machines.listed import Machine

CONNECT_SECONDS, SECONDS = 10, 120
KEY_TYPES = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521")
REASONS = {  # part of ssh's last line: what to do
    "Host key verification failed": "its host key is not known here, or is another one than before: compare "
    "it, and connect once by hand: {by_hand}",
    "REMOTE HOST IDENTIFICATION HAS CHANGED": "its host key is another one than before: find out why",
    "Permission denied": "it refuses the key: ssh-copy-id -i {key}.pub -p {port} {address}",
}


def ssh(machine: Machine) -> list[str]:
    """The words of ssh and its options. No user's ssh configuration is read: NNI's own SSH client, which
    starts the trials, knows none either."""
    options = {
        "BatchMode": "yes", "IdentitiesOnly": "yes", "ConnectTimeout": CONNECT_SECONDS,
        "ServerAliveInterval": 15, "LogLevel": "ERROR",
    }  # fmt: skip
    if machine.known_hosts:
        options["UserKnownHostsFile"] = machine.known_hosts
    words = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
    return ["ssh", "-F", os.devnull, "-i", machine.key, "-p", str(machine.port), *words]


def run_there(
    machine: Machine, command: str, given: str = "", subsystem: bool = False
) -> "subprocess.CompletedProcess[str]":
    """Run a shell command there, or a `subsystem` of its SSH server, with `given` as its input; exit code 255
    if ssh fails, or takes too long."""
    words = [*ssh(machine), *(["-s"] if subsystem else []), machine.address, command]
    try:
        return subprocess.run(
            words, input=given, capture_output=True, text=True, timeout=SECONDS, start_new_session=True
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(words, 255, "", f"no answer within {SECONDS} s")
    except FileNotFoundError:
        return subprocess.CompletedProcess(words, 255, "", "ssh is not installed here; install an SSH client")


def last_line(said: str, otherwise: str = "no message") -> str:
    """The last line of a program's messages: what it failed for. `otherwise`: if it said nothing."""
    return (said.strip().splitlines() or [otherwise])[-1].strip()


def unreachable(machine: Machine, said: str) -> str:
    """Why ssh failed, from its messages, and what to do."""
    by_hand = shlex.join(["ssh", "-i", machine.key, "-p", str(machine.port), machine.address])
    words = {"by_hand": by_hand, "key": machine.key, "port": machine.port, "address": machine.address}
    last = last_line(said, "ssh failed")
    advice = next((text.format(**words) for part, text in REASONS.items() if part in said), "")
    return f"can't be reached: {last}; {advice or f'try it by hand: {by_hand}'}"


def key_errors(machine: Machine) -> list[str]:
    """Why NNI can't use the machine's key; [] if it can. Its SSH client signs with RSA keys in a way (SHA-1)
    that today's SSH servers refuse, and asks for no passphrase."""
    key = Path(machine.key)
    make = f"make one: ssh-keygen -t ed25519 -N '' -f {key}"
    if not key.is_file():
        return [f"key: there is no {key}; {make}"]
    read = subprocess.run(["ssh-keygen", "-y", "-P", "", "-f", str(key)], capture_output=True, text=True)
    kind = read.stdout.partition(" ")[0]
    if read.returncode:
        return [f"key: {key} can't be used without a passphrase ({last_line(read.stderr)}); {make}.nni"]
    if kind not in KEY_TYPES:
        return [f"key: {key} is of the type {kind}, with which NNI's SSH client can't log in; {make}.nni"]
    return []
