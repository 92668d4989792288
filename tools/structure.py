"""How the modules import each other, in this checkout or in an earlier commit.

`python -m tools.structure [COMMIT]` prints imports between folders, imports that point upwards, an import
cycle if there is one, the longest chain of imports, and to how many functions a TrialConfig is passed.
"""

import ast
import io
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from common.log import PACKAGES
from common.machine import PROJECT

ROOMS = PACKAGES  # each imports only those before it
ALONE = ("tuners", "nni_setup")  # they import none of the others


@dataclass(frozen=True)
class Structure:
    """`imports`: {module: modules of the project that it imports, anywhere in the file}; `takes_config`:
    functions and classes with a parameter or field of type TrialConfig, as MODULE:NAME."""

    imports: dict[str, frozenset[str]]
    takes_config: tuple[str, ...]

    def between_folders(self) -> set[tuple[str, str]]:
        """(importing folder, imported folder), of different ones."""
        pairs = ((_folder(one), _folder(other)) for one, other in self._pairs())
        return {(one, other) for one, other in pairs if one != other}

    def upward(self) -> list[tuple[str, str]]:
        """(module, module) that breaks the order of ROOMS or leaves a room that stands alone."""
        return [pair for pair in self._pairs() if not _is_downward(*(name.split(".")[0] for name in pair))]

    def cycle(self) -> list[str]:
        """The modules of an import cycle, [] if there is none."""
        try:
            TopologicalSorter(self.imports).prepare()
        except CycleError as error:
            return error.args[1]
        return []

    def longest_chain(self) -> list[str]:
        """Modules, each of which imports the next one. Only without a cycle."""

        @cache
        def below(module: str) -> list[str]:
            return [module, *max((below(other) for other in self.imports[module]), key=len, default=[])]

        return max((below(module) for module in self.imports), key=len)

    def reached_from(self, module: str) -> set[str]:
        """The modules that `module` imports, directly or through others, and itself."""
        found, new = {module}, [module]
        while new:
            more = self.imports[new.pop()] - found
            found |= more
            new += more
        return found

    def _pairs(self) -> Iterator[tuple[str, str]]:
        return ((one, other) for one in sorted(self.imports) for other in sorted(self.imports[one]))


def structure(project: Path = PROJECT) -> Structure:
    """Read from the source files below `project`; nothing is imported."""
    trees = {
        _module(path.relative_to(project)): ast.parse(path.read_text())
        for room in (*ROOMS, *ALONE)
        for path in sorted((project / room).rglob("*.py"))
    }
    imports = {name: frozenset(_imported(tree, set(trees)) - {name}) for name, tree in trees.items()}
    takes = [f"{name}:{definition}" for name, tree in trees.items() for definition in _takes_config(tree)]
    return Structure(imports, tuple(takes))


def _module(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imported(tree: ast.Module, known: set[str]) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= whole & known or {node.module}
    return found & known


def _takes_config(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            arguments = node.args.posonlyargs + node.args.args + node.args.kwonlyargs
            kinds = [argument.annotation for argument in arguments]
        elif isinstance(node, ast.ClassDef):
            kinds = [field.annotation for field in node.body if isinstance(field, ast.AnnAssign)]
        else:
            continue
        if any(kind is not None and "TrialConfig" in ast.unparse(kind) for kind in kinds):
            yield node.name


def _is_downward(importing: str, imported: str) -> bool:
    if importing == imported:
        return True
    if importing in ALONE or imported in ALONE:
        return False
    return ROOMS.index(imported) < ROOMS.index(importing)


def _folder(module: str) -> str:
    """The folder of a module; a package is its own folder."""
    return module.rpartition(".")[0] or module


def main(commit: str | None = None) -> None:
    """Print the structure of this checkout, or of `commit`."""
    with tempfile.TemporaryDirectory() as folder:
        if commit:
            command = ["git", "archive", commit]
            archive = subprocess.run(command, cwd=PROJECT, stdout=subprocess.PIPE, check=True).stdout
            with tarfile.open(fileobj=io.BytesIO(archive)) as members:
                members.extractall(folder, filter="data")
        read = structure(Path(folder) if commit else PROJECT)
    cycle = read.cycle()
    print(f"modules: {len(read.imports)}, in {len({_folder(module) for module in read.imports})} folders")
    print(f"imports between folders: {len(read.between_folders())}")
    print(f"imports upwards: {[f'{one} -> {other}' for one, other in read.upward()] or 'none'}")
    print(f"cycle: {' -> '.join(cycle) or 'none'}")
    if not cycle:
        print(f"longest chain: {len(read.longest_chain())} ({' -> '.join(read.longest_chain())})")
    for where, prefix in (("", ""), (" of trial/", "trial.")):
        takes = [name for name in read.takes_config if name.startswith(prefix)]
        files = {name.partition(":")[0] for name in takes}
        print(f"a TrialConfig is passed to {len(takes)} functions and classes in {len(files)} files{where}")
    for batches in {"trial.batches", "trial.data.batches"} & read.imports.keys():
        print(f"{batches} reaches {len(read.reached_from(batches))} modules")


if __name__ == "__main__":
    main(*sys.argv[1:2])
