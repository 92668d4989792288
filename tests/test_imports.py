"""Imports point one way: experiments -> analysis -> trial -> dataset; the rest stands alone."""

import ast

import pytest

from common.machine import PROJECT

BELOW = {
    "dataset": set(),
    "trial": {"dataset"},
    "analysis": {"dataset", "trial"},
    "experiments": {"dataset", "trial", "analysis"},
    "tuners": set(),
    "nni_setup": set(),
}
MAX_LINES = 300
MAY_IMPORT_NNI = {"trial/advisor.py"}


def imported(path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found


@pytest.mark.parametrize("room", BELOW)
def test_a_room_imports_only_those_below_it(room):
    files = sorted((PROJECT / room).rglob("*.py"))
    assert files
    for path in files:
        rooms = imported(path) & BELOW.keys() - {room}
        assert rooms <= BELOW[room], f"{path} imports {rooms - BELOW[room]}"
        name = path.relative_to(PROJECT).as_posix()
        assert "nni" not in imported(path) or room == "tuners" or name in MAY_IMPORT_NNI, (
            f"{name} imports nni"
        )


def test_the_files_stay_small():
    files = [
        path for room in (*BELOW, "benchmarks", "tests") for path in sorted((PROJECT / room).rglob("*.py"))
    ]
    long = {str(path): count for path in files if (count := path.read_text().count("\n")) > MAX_LINES}
    assert files and not long, f"over {MAX_LINES} lines, often two ideas in one room: {long}"
