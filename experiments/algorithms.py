"""Whether the tuner and assessor that a YAML names exist and take its arguments; read, never run."""

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dataset.errors import unknown

TUNERS = ("TPE", "Random", "GridSearch", "Anneal", "Evolution", "BatchTuner", "Hyperband", "MetisTuner",
          "GPTuner", "PBTTuner", "RegularizedEvolutionTuner", "SMAC", "BOHB", "DNGOTuner")  # fmt: skip
ASSESSORS = ("Medianstop", "Curvefitting")


def algorithm_faults(key: str, value: Mapping[str, Any], base: Path) -> list[str]:
    """`key`: tuner or assessor; `value`: its part of the YAML; `base`: the folder its paths start from."""
    if "className" not in value:
        known = TUNERS if key == "tuner" else ASSESSORS
        name = value.get("name")
        return [] if name in known else [f"{key}: {unknown('name', name, known)}"]
    module, _, name = str(value["className"]).rpartition(".")
    folder = base / str(value.get("codeDirectory", "."))
    file = folder.joinpath(*module.split(".")).with_suffix(".py")
    if not module or not file.is_file():
        return [f"{key}.className: {value['className']}: there is no {file}"]
    classes = {c.name: c for c in ast.parse(file.read_text()).body if isinstance(c, ast.ClassDef)}
    if name not in classes:
        return [f"{key}.className: {unknown(f'class in {file.name}', name, classes)}"]
    takes = _arguments(classes[name])
    if takes is None:
        return []
    given = value.get("classArgs") or {}
    return [f"{key}.classArgs: {unknown('argument', word, takes)}" for word in given if word not in takes]


def _arguments(made: ast.ClassDef) -> list[str] | None:
    """The names that a class's own __init__ takes; None where it takes any, or inherits it."""
    for part in made.body:
        if isinstance(part, ast.FunctionDef) and part.name == "__init__":
            if part.args.kwarg:
                return None
            return [a.arg for a in (*part.args.posonlyargs, *part.args.args, *part.args.kwonlyargs)][1:]
    return None
