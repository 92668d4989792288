"""Machines are asked by real SSH whether they can run the trials; those that can't are named, with what to do."""

import os
import shutil
import socket
import time
from subprocess import CompletedProcess

import pytest

from common.errors import UsageError
from experiments.machines import inspect, ssh
from experiments.machines.inspect import Order, usable
from experiments.machines.listed import Machine
from tests.experiments.machines.conftest import make_key

NETWORKS = (("test_resnet.r160_in1k", "none"),)


@pytest.fixture
def order(people):
    return Order(str(people), str(people), NETWORKS)


def refused(machines, order, **named):
    with pytest.raises(UsageError) as caught:
        usable(machines, order, **named)
    return caught.value.errors


@pytest.mark.slow
def test_machines_that_are_ready(sshd, order, people, tmp_path):
    copy = shutil.copytree(people, tmp_path / "copy")  # with the times of its files
    machines = [sshd.machine("one"), sshd.machine("two", data=str(copy), trials=3)]
    found, table = usable(machines, order)
    assert [one.machine for one in found] == machines
    heads, *rows = [line.split() for line in table.splitlines()]
    assert heads[:7] == ["machine", "state", "trials", "code", "packages", "photos", "weights"]
    assert [row[:7] for row in rows] == [
        ["one", "ready", "1", "same", "same", "same", "present"],
        ["two", "ready", "3", "same", "same", "same", "present"],
    ]


@pytest.mark.slow
def test_a_login_script_that_prints_is_refused_as_copying_would_fail(sshd, order, tmp_path):
    chatty = sshd.machine_that_runs("echo Welcome", tmp_path)
    *_, error = refused([chatty], order)
    assert error.startswith("chatty: a login script there prints ('Welcome'), which spoils what is copied")


@pytest.mark.slow
def test_a_server_without_sftp_is_refused_as_the_manager_would_end(sshd, order, tmp_path):
    bare = sshd.machine_that_runs("case $SSH_ORIGINAL_COMMAND in *sftp*) exit 1;; esac", tmp_path)
    *_, error = refused([bare], order)
    assert error.startswith("chatty: its SSH server has no sftp, by which NNI sends the trials' files")


@pytest.mark.parametrize(
    ("stderr", "said"),
    [
        ("subsystem request failed on channel 0", "its SSH server has no sftp"),
        ("Connection reset by peer", "can't be reached: Connection reset by peer"),
    ],
)
def test_a_link_that_breaks_is_no_server_without_sftp(monkeypatch, tmp_path, stderr, said):
    one = Machine("one", "host", "user", str(make_key(tmp_path / "key")), "/project")
    answers = [CompletedProcess("", 0, '{"time": 0}', ""), CompletedProcess("", 255, "", stderr)]
    monkeypatch.setattr(inspect, "run_there", lambda *given, **named: answers.pop(0))
    assert inspect._inspect(one, Order("", "", ()), {}, 1).errors[0].startswith(said)


@pytest.mark.slow
def test_a_host_that_accepts_and_stays_silent_is_named_within_the_time_limit(order, tmp_path, monkeypatch):
    monkeypatch.setattr(ssh, "CONNECT_SECONDS", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port, key = silent.getsockname()[1], str(make_key(tmp_path / "key"))
        machine = Machine("silent", "127.0.0.1", "nobody", key, "/project", "python", port=port)
        began = time.monotonic()
        *_, error = refused([machine], order)
        assert time.monotonic() - began < 20
    assert error.startswith("silent: can't be reached: Connection timed out during banner exchange")
    assert error.endswith(f"try it by hand: ssh -i {key} -p {port} nobody@127.0.0.1")


@pytest.mark.slow
def test_each_that_fails_is_named_with_what_to_do(sshd, people, tmp_path):
    other = shutil.copytree(people, tmp_path / "other")
    photo = next(other.rglob("*.jpg"))
    os.utime(photo, (0, 0))
    weights = tmp_path / "nothing.safetensors"
    order = Order(str(people), str(people), ((*NETWORKS[0][:1], str(weights)),))
    machines = [
        sshd.machine("changed", data=str(other), gpus=(99,)),
        sshd.machine("empty", data=str(tmp_path / "gone")),
        sshd.machine("no_project", project=str(tmp_path / "no" / "project")),
        sshd.machine("no_python", python="/nowhere/python"),
        sshd.machine("refused", port=1),
        sshd.machine("stranger", key=str(make_key(tmp_path / "stranger"))),
        sshd.machine("unknown", known_hosts="/dev/null"),
        sshd.machine("rsa", key=str(make_key(tmp_path / "rsa", "rsa"))),
        sshd.machine("locked", key=str(make_key(tmp_path / "locked", "ed25519"))),
        sshd.machine("no_key", key=str(tmp_path / "nothing")),
    ]
    (tmp_path / "locked").write_text("not a key\n")
    lines = refused(machines, order, without_failing=True)  # none is left
    table, errors = lines[: len(machines) + 1], lines[len(machines) + 1 :]
    assert [line.split()[:2] for line in table[1:]] == [[one.name, "fails"] for one in machines]

    def said(name):
        return [error.removeprefix(f"{name}: ") for error in errors if error.startswith(f"{name}: ")]

    photos, missing, gpus = said("changed")
    assert photos.startswith(
        f"{other} holds other photos than {people} here; copy them: rsync -a -e 'ssh -i "
    )
    assert missing.startswith(f"weights={weights}: no such file or folder")
    assert gpus.startswith("gpus: 99 asked for, and nvidia-smi there lists ")
    assert said("empty")[0].startswith(f"no photos in {tmp_path / 'gone'}; copy them: rsync -a ")
    assert "there is no " in said("no_project")[0] and "copy it: rsync" in said("no_project")[0]
    assert said("no_python")[0].startswith("python: /nowhere/python does not run there")
    assert "Connection refused; try it by hand: ssh -i " in said("refused")[0]
    assert "it refuses the key: ssh-copy-id -i " in said("stranger")[0]
    assert "its host key is not known here" in said("unknown")[0]
    assert "is of the type ssh-rsa, with which NNI's SSH client can't log in" in said("rsa")[0]
    assert "can't be used without a passphrase" in said("locked")[0]
    assert said("no_key")[0].startswith(f"key: there is no {tmp_path / 'nothing'}; make one: ssh-keygen ")
    assert "copy" in errors[0] and not any("--without-failing" in error for error in errors)


@pytest.mark.slow
def test_those_that_fail_can_be_left_out(sshd, order):
    machines = [sshd.machine("one"), sshd.machine("away", port=1)]
    assert refused(machines, order)[-1] == "to go on with one alone: --without-failing"
    found, table = usable(machines, order, without_failing=True)
    assert [one.machine.name for one in found] == ["one"]
    assert "away     fails" in table
