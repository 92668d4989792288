"""What README, CONTRIBUTING, CHANGELOG and docs/ tell people to type, to open and to run."""

import contextlib
import importlib.util
import io
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import typer

from analysis.__main__ import app as analysis_app
from common.machine import PROJECT
from dataset.__main__ import app as dataset_app
from experiments.__main__ import app as experiments_app
from trial.commands.arguments import parse_arguments
from trial.commands.train import app as trial_app
from trial.commands.train import weights_app
from trial.config import parse

PAGES = [*sorted(PROJECT.glob("*.md")), *sorted((PROJECT / "docs").glob("*.md"))]
APPS = {"trial": trial_app, "analysis": analysis_app, "dataset": dataset_app, "experiments": experiments_app}
PATH = r"(?:recipes|experiments|search_spaces|docs|notebooks|tests|tools|trial|dataset|analysis|nni_setup)/[\w./-]+\.\w+"


def lines_of(page: Path, start: str) -> list[str]:
    """The commands of a page that begin so: indented lines, without comments, and `code`."""
    text = page.read_text()
    words = re.escape(start)
    return re.findall(rf"^    ({words}.*)$", text, re.M) + re.findall(rf"`({words}[^`]*)`", text)


def commands(start: str) -> list:
    return [
        pytest.param(page.name, line, id=f"{page.name}: {line[:60]}")
        for page in PAGES
        for line in lines_of(page, start)
    ]


def words_of(line: str) -> list[str]:
    return shlex.split(line, comments=True)


@pytest.mark.parametrize(("page", "line"), commands("python -m "))
def test_python_commands_are_accepted(page, line):
    """Command and options exist, and a recipe can be parsed; nothing is run."""
    module, *words = words_of(line)[2:]
    assert importlib.util.find_spec(module), f"there is no {module}"
    if module not in APPS or words in ([], ["--help"]):
        return
    app = APPS[module]
    if module == "trial" and words[0] == "weights":
        app, words = weights_app, words[1:]
    command = typer.main.get_command(app)
    if hasattr(command, "commands"):
        if "{" in words[0]:  # "{check,run}"
            return
        assert words[0] in command.commands
        command, words = command.commands[words[0]], words[1:]
        if not words:  # the command is named, not called
            return
    with contextlib.redirect_stderr(io.StringIO()), command.make_context(command.name, list(words)):
        pass
    recipe = [word for word in words if "=" in word]
    if page == "CONTRIBUTING.md":  # recipes of what its examples add: tests/test_contributing.py trains them
        return
    if recipe and (module == "trial" or command.name == "lr-range"):
        made = ("weights=", "pseudo_labels=")  # files that a command before it fetches or writes
        own = [word for word in recipe if not word.startswith(made)]
        assert parse(parse_arguments([*own, "weights=none"])).data in ("input", "FOLDER")


@pytest.mark.parametrize(("page", "line"), commands("make "))
def test_make_targets_exist(page, line):
    targets = re.findall(r"^([\w-]+):", (PROJECT / "Makefile").read_text(), re.M)
    assert next(word for word in words_of(line)[1:] if word[0] != "-" and "=" not in word) in targets


def heading_anchors(page: Path) -> set[str]:
    """Those that GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if link.startswith("https://"):
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), f"{page.name} links to {link}"
        assert not anchor or anchor in heading_anchors(target), f"{page.name} links to {link}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_are_named_exist(page):
    for name in re.findall(rf"(?<![\w/.]){PATH}", page.read_text()):
        assert (PROJECT / name).exists() or "NAME" in name or "mine" in name, f"{page.name} names {name}"


@pytest.mark.slow
def test_the_python_example_of_readme_trains_and_predicts(people, tmp_path, monkeypatch):
    """As it stands there, but for the size, one epoch and no cache."""
    (example,) = re.findall(r"```python\n(.*?)```", (PROJECT / "README.md").read_text(), re.S)
    for old, new in {
        '"image_size": "128x96"': '"image_size": "32x24", "cache_limit": 0, "threads": 1',
        '"epochs": 10': '"epochs": 1',
    }.items():
        assert old in example
        example = example.replace(old, new)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "input").symlink_to(people)
    names: dict = {}
    exec(example, names)
    assert names["probabilities"].shape == (len(names["read_eval"](people)), 18)
    assert np.allclose(names["probabilities"].sum(1), 1, atol=1e-4)
    assert (tmp_path / "out" / "example" / "weights.safetensors").exists()


def test_pages_and_benchmarks_that_the_code_names_exist():
    named = {
        (code, name)
        for folder in ("analysis", "benchmarks", "common", "dataset", "experiments", "trial", "tuners")
        for code in (PROJECT / folder).rglob("*.py")
        for name in re.findall(r"\b(?:benchmarks|docs)/[\w/-]+\.(?:py|md)\b", code.read_text())
    }
    assert len(named) > 10
    assert [(code, name) for code, name in sorted(named) if not (PROJECT / name).exists()] == []
