"""Imports point one way, without cycles; torch is imported late; nni only by those who talk to it."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from common.machine import PROJECT
from tools.structure import ALONE, ROOMS, Structure, structure

# What a sub-room may import of the sub-rooms beside it.
BELOW = {
    "dataset.cache": set(),
    "dataset.faces": {"dataset.cache"},
    "dataset.face_masks": set(),
    "dataset.face_masks.drawing": {"dataset.face_masks"},
    "dataset.formats": {"dataset.face_masks"},
    "trial.process": set(),
    "trial.augment": set(),
    "trial.data": {"trial.augment"},
    "trial.models": set(),
    "trial.learning": {"trial.models", "trial.process"},
    "trial.run_folder": {"trial.learning", "trial.models", "trial.process"},
    "trial.commands": {"trial.augment", "trial.data", "trial.models", "trial.process", "trial.run_folder"},
    "trial.warm": {"trial.commands", "trial.process", "trial.run_folder"},
    "tuners.spaces": set(),
    "tuners.model": {"tuners.spaces"},
    "analysis.commands": {
        "analysis.audit",
        "analysis.eda",
        "analysis.lr_range",
        "analysis.predict",
        "analysis.report",
        "analysis.trials",
        "analysis.trust",
    },
    "analysis.trust": set(),
    "analysis.trials": {"analysis.trust"},
    "analysis.predict": {"analysis.trials", "analysis.trust"},
    "analysis.report": {"analysis.trials", "analysis.trust"},
    "analysis.eda": {"analysis.trials", "analysis.report"},
    "analysis.lr_range": {"analysis.trials", "analysis.report"},
    "analysis.audit": {
        "analysis.eda",
        "analysis.predict",
        "analysis.report",
        "analysis.trials",
        "analysis.trust",
    },
    "experiments.checks": {"experiments.queues"},
    "experiments.hours": {"experiments.checks"},
    "experiments.machines": {"experiments.checks"},
    "experiments.queues": set(),
    "experiments.saved": {"experiments.checks", "experiments.machines"},
}
MAY_IMPORT_NNI = {"trial/advisor.py"}

# The modules that refuse mistakes in under a second: they, and all that they import, have slow packages inside
# functions only.
QUICK = ("trial.config", "trial.commands.listing", "experiments.check", "trial.warm.client")
SLOW = {"torch", "torchvision", "timm", "albumentations"}
OURS = (*ROOMS, *ALONE, "benchmarks", "tools")


@pytest.fixture(scope="module")
def read() -> Structure:
    return structure()


def test_rooms_import_only_those_below_them(read):
    assert read.imports
    assert read.upward() == []


def test_no_imports_form_a_cycle(read):
    assert read.cycle() == []


def test_sub_rooms_import_only_those_below_them(read):
    folders = {folder for pair in read.between_folders() for folder in pair if "." in folder}
    assert folders == BELOW.keys()
    wrong = [
        (one, other)
        for one, other in sorted(read.between_folders())
        if {one, other} <= folders and one.partition(".")[0] == other.partition(".")[0]
        if other not in BELOW[one]
    ]
    assert wrong == []


def test_only_those_who_talk_to_nni_import_it():
    for room in (*ROOMS, *ALONE):
        for path in sorted((PROJECT / room).rglob("*.py")):
            nodes = list(ast.walk(ast.parse(path.read_text())))
            names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
            names |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}
            allowed = room == "tuners" or path.relative_to(PROJECT).as_posix() in MAY_IMPORT_NNI
            assert allowed or "nni" not in {name.partition(".")[0] for name in names}, f"{path} imports nni"


# They are commands, or show a command's progress; `common.log` shows what the others have to say.
MAY_PRINT = {
    "analysis.commands",
    "common.errors",
    "common.log",
    "common.progress",
    "dataset.cache_command",
    "experiments.demo",
    "experiments.progress",
    "experiments.queues",
    "experiments.smoke",
    "experiments.submit",
    "trial.commands.train",
    "trial.commands.listing",
    # Run as processes of their own, whose answer is what they print.
    "experiments.checks.gpu_memory",
    "experiments.machines.probe",
}


def test_only_commands_print():
    for room in (*ROOMS, "tuners"):
        for path in sorted((PROJECT / room).rglob("*.py")):
            module = ".".join(path.relative_to(PROJECT).with_suffix("").parts)
            if path.stem == "__main__" or {module, module.rpartition(".")[0]} & MAY_PRINT:
                continue
            calls = [
                node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)
            ]
            assert "print" not in {node.id for node in calls if isinstance(node, ast.Name)}, module


@cache
def at_top(module: str) -> set[str]:
    """The modules that are imported as `module` is, packages above them included; what is inside functions or
    for type checkers only is not."""
    found = set()
    for node in _run_at_import(ast.parse(_file(module).read_text()).body):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
    return {".".join(name.split(".")[:n]) for name in found for n in range(1, name.count(".") + 2)}


def _run_at_import(nodes) -> Iterator[ast.AST]:
    for node in nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from _run_at_import(node.orelse)
            continue
        yield node
        yield from _run_at_import(ast.iter_child_nodes(node))


def _file(module: str) -> Path:
    """The file of one of our modules; a path that does not exist of others'."""
    path = PROJECT / module.replace(".", "/")
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def reached(module: str) -> set[str]:
    """`module` and all of ours that it imports at the top, and these in turn."""
    seen, ahead = set(), {module}
    while ahead:
        seen |= ahead
        ahead = {
            name
            for known in ahead
            for name in at_top(known)
            if name.partition(".")[0] in OURS and _file(name).is_file()
        } - seen
    return seen


def of_room(room: str) -> list[str]:
    paths = [path.relative_to(PROJECT).with_suffix("") for path in sorted((PROJECT / room).rglob("*.py"))]
    return [".".join(path.parts).removesuffix(".__init__") for path in paths]


def test_slow_packages_are_imported_inside_functions_only():
    modules = {name for module in QUICK for name in reached(module)}
    modules |= {
        name for room in ("common", "dataset") for name in of_room(room) if name != "dataset.faces.detector"
    }
    slow = {module: at_top(module) & SLOW for module in modules}
    assert not {module: names for module, names in slow.items() if names}, f"reached from one of {QUICK}"


def test_the_recipe_level_alone_knows_the_config():
    """All other parts of a training take values."""
    parts = [
        "analysis.predict.finishing",
        "experiments.checks.disk",
        "experiments.checks.folds",
        "trial.process.compute",
        "trial.constraints",
        "trial.requirements",
        "trial.fit",
        "trial.folds",
        "trial.forward",
        "trial.metrics",
        "trial.run_folder.origin",
        "trial.rng",
        "trial.models.tensors",
    ]
    for room in ("data", "learning", "augment", "models"):
        parts += of_room(f"trial/{room}")
    for module in parts:
        tree = ast.parse(_file(module).read_text())
        names = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert "trial.config" not in names, module
