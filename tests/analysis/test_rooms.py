"""Within analysis, imports point one way: from the commands to the sub-rooms, and from these to trials."""

import ast

import pytest

from common.machine import PROJECT

BELOW = {
    "trials": set(),
    "predict": {"trials"},
    "report": {"trials"},
    "eda": {"trials", "report"},
    "lr_range": {"trials", "report"},
}


def imported(path) -> set[str]:
    """The parts of `analysis` that a file imports from: sub-rooms, or modules at its top."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [name.name for name in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{name.name}" for name in node.names]
        else:
            continue
        found |= {name.split(".")[1] for name in names if name.startswith("analysis.")}
    return found


@pytest.mark.parametrize("room", BELOW)
def test_a_sub_room_imports_only_those_below_it(room):
    files = sorted((PROJECT / "analysis" / room).glob("*.py"))
    assert files
    for path in files:
        others = imported(path) - {room}
        assert others <= BELOW[room], f"{path} imports {others - BELOW[room]}"
