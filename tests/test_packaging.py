"""The project as a package: what a wheel holds, and an editable install in an environment of its own."""

import importlib
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from zipfile import ZipFile

import pytest

from common.machine import PROJECT
from experiments.queues.ray_cluster import MISSING
from trial.models.hse_faceres import NO_NPM

SETTINGS = tomllib.loads((PROJECT / "pyproject.toml").read_text())
ABOUT = SETTINGS["project"]
ROOMS = [pattern.rstrip("*") for pattern in SETTINGS["tool"]["setuptools"]["packages"]["find"]["include"]]
SCRIPTS = ABOUT["scripts"]


def installed() -> bool:
    try:
        return bool(distribution(ABOUT["name"]))
    except PackageNotFoundError:
        return False


def files_of(folder: Path) -> set[str]:
    """Everything in its rooms, but for what Python leaves there."""
    paths = [path for room in ROOMS for path in (folder / room).rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix() for path in paths if "__pycache__" not in path.parts}


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    """A copy of what is installed, as building leaves files in the folder."""
    folder = tmp_path_factory.mktemp("copy")
    for room in ROOMS:
        shutil.copytree(PROJECT / room, folder / room, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "requirements.txt"):
        shutil.copy(PROJECT / name, folder)
    return folder


def pip(*words: str | Path) -> None:
    command = [sys.executable, "-m", "pip", *words, "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run([*command, "--disable-pip-version-check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("room", ROOMS)
def test_every_package_says_that_it_is_typed(room):
    assert (PROJECT / room / "py.typed").exists()


def test_the_version_is_that_of_the_changelog():
    newest = re.search(r"^## (\d\S*)", (PROJECT / "CHANGELOG.md").read_text(), re.M)
    assert newest and newest[1] == ABOUT["version"]


def test_readme_calls_it_by_its_name():
    assert (PROJECT / "README.md").read_text().startswith(f"# {ABOUT['name']}\n")


def test_the_extra_for_npm_is_what_the_message_names():
    (wanted,) = ABOUT["optional-dependencies"]["npm"]
    assert NO_NPM.endswith(f"pip install {wanted.partition('>')[0]}")


def test_the_extra_for_ray_is_pinned_and_what_the_message_names():
    (wanted,) = ABOUT["optional-dependencies"]["ray"]
    assert re.fullmatch(r"ray==[\d.]+", wanted) and "'.[ray]'" in MISSING


@pytest.mark.parametrize("name", SCRIPTS)
def test_commands_call_what_exists(name):
    module, _, function = SCRIPTS[name].partition(":")
    assert callable(getattr(importlib.import_module(module), function))


@pytest.mark.slow
def test_a_wheel_holds_every_file_of_the_packages(copy, tmp_path):
    files = files_of(copy)
    pip("wheel", "--wheel-dir", tmp_path, copy)
    (wheel,) = tmp_path.glob("*.whl")
    held = {name for name in ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert held == files


@pytest.mark.slow
def test_an_editable_install_works_in_any_folder(copy, tmp_path):
    """In an environment that has the other packages by a path, so that nothing is fetched."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    (site,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    (site / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    programs = tmp_path / "venv" / "bin"
    pip("--python", programs / "python", "install", "--ignore-installed", "--editable", copy)

    def prints(*command: str | Path) -> str:
        done = subprocess.run(command, env={}, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    for name in SCRIPTS:
        assert prints(programs / name, "--help").startswith("Usage: ")
    assert prints(programs / "python", "-c", "import trial.config as c; print(c.__file__)").strip() == str(
        copy / "trial" / "config.py"
    )
    assert '"model": "resnet34"' in prints(programs / "photos-trial", "--dry-run", "weights=none")


@pytest.mark.skipif(not installed(), reason="this environment was not made by make env")
def test_this_environment_has_the_project(tmp_path):
    code = "import trial.config as c; print(c.__file__)"
    done = subprocess.run([sys.executable, "-c", code], env={}, cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.strip() == str(PROJECT / "trial" / "config.py"), done.stderr
