"""machines.yaml: what is read, and every mistake at once."""

from pathlib import Path

import pytest

from common.errors import UsageError
from common.machine import PROJECT
from experiments.machines.listed import Machine, read_machines, write_machines

GOOD = """
one: {host: gpu1, user: me, key: keys/id, project: /path/to/project}
two: {host: 10.0.0.7, port: 2222, user: me, key: /keys/id, project: /p, python: /e/python, data: /d, trials: 2, gpus: [0, 1]}
"""


def listed(folder, text):
    (folder / "machines.yaml").write_text(text)
    return read_machines(folder / "machines.yaml")


def errors(folder, text):
    with pytest.raises(UsageError) as caught:
        listed(folder, text)
    return [error.removeprefix(f"{folder}/machines.yaml: ") for error in caught.value.errors]


def test_values_and_defaults(tmp_path):
    one, two = listed(tmp_path, GOOD)
    assert one == Machine(
        "one",
        "gpu1",
        "me",
        str(tmp_path / "keys/id"),
        "/path/to/project",
        "/path/to/project/.venv/bin/python",
    )
    assert two == Machine("two", "10.0.0.7", "me", "/keys/id", "/p", "/e/python", "/d", 2222, 2, (0, 1))
    assert (one.data_there("input"), one.data_there("/photos")) == ("/path/to/project/input", "/photos")
    assert two.data_there("input") == "/d"


def test_what_is_written_is_read_again(tmp_path):
    machines = listed(tmp_path, GOOD)
    write_machines(tmp_path / "again.yaml", machines)
    assert read_machines(tmp_path / "again.yaml") == machines


def test_every_mistake_at_once(tmp_path):
    text = """
one: {hots: gpu1, user: -oProxyCommand=x, key: k, project: there, trials: 0, gpus: [0, 0]}
two: {host: h, user: me, key: k, project: "/a b", port: 99999, data: 3}
t/3: {}
four: [host]
"""
    assert errors(tmp_path, text) == [
        "one: unknown key 'hots'; did you mean host?",
        "one: host: is missing",
        "one: user: '-oProxyCommand=x' can't be a user: letters, digits, '.', '_', ':' and '-' only",
        "one: project: 'there' is not an absolute path of that machine",
        "one: trials: 0 is not an integer from 1 to 64",
        "one: gpus: [0, 0] is not a list of GPU numbers such as [0, 1], each once",
        "two: project: '/a b' has ' ' in it, with which NNI can't run trials",
        "two: port: 99999 is not an integer from 1 to 65535",
        "two: data: 3 is not a text",
        "t/3: a name has letters, digits, '.', '_' and '-' only",
        "four: ['host'] is not a mapping such as {host: ..., user: ..., key: ..., project: ...}",
    ]


def test_a_machine_that_is_listed_twice(tmp_path):
    entry = "{host: h, user: me, key: k, project: /p}"
    assert errors(tmp_path, f"one: {entry}\ntwo: {entry}\n") == [
        "one: h is listed twice; give it more `trials` instead",
        "two: h is listed twice; give it more `trials` instead",
    ]


@pytest.mark.parametrize("text", ["", "[one]", "one: {host: h\n"])
def test_a_file_without_machines(tmp_path, text):
    assert errors(tmp_path, text)


def test_no_file():
    with pytest.raises(UsageError, match=r"nowhere: no such file; copy experiments/machines\.yaml\.example"):
        read_machines(Path("nowhere"))


def test_the_example():
    assert [one.name for one in read_machines(PROJECT / "experiments" / "machines.yaml.example")] == [
        "gpu1",
        "gpu2",
    ]
