"""`make env` in a small project of its own, whose pins ask for nothing."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from nni_setup.relocate import relocate_editable
from tests.nni_server import PROJECT

REAL = Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
BACKEND = '''"""Builds the small project as setuptools would: one .pth line and one program."""
from pathlib import Path
from zipfile import ZipFile


def build_editable(folder, config_settings=None, metadata_directory=None):
    name = "small-1.0-py3-none-any.whl"
    with ZipFile(Path(folder) / name, "w") as file:
        file.writestr("__editable__.small-1.0.pth", str(Path.cwd()) + "\\n")
        file.writestr("small-1.0.dist-info/METADATA", "Metadata-Version: 2.1\\nName: small\\nVersion: 1.0\\n")
        file.writestr("small-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        file.writestr("small-1.0.dist-info/entry_points.txt", "[console_scripts]\\nsmall = here:main\\n")
        file.writestr("small-1.0.dist-info/RECORD", "")
    return name
'''
PYPROJECT = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not REAL.exists(), reason=f"no {REAL} to make an environment with"),
]


def script(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


class Small:
    def __init__(self, folder: Path):
        self.project, self.programs = folder / "a 'project'", folder / "programs"
        self.programs.mkdir(parents=True)
        self.project.mkdir()
        shutil.copytree(
            PROJECT / "nni_setup", self.project / "nni_setup", ignore=shutil.ignore_patterns("__pycache__")
        )
        (self.project / "pyproject.toml").write_text(PYPROJECT)
        (self.project / "backend.py").write_text(BACKEND)
        (self.project / "here.py").write_text("def main():\n    print(__file__)\n")
        self.pins("# nothing")

    def pins(self, text: str, no_deps: str = "# nothing", kinds: tuple[str, ...] = ("txt", "lock")) -> None:
        for kind in kinds:
            (self.project / f"requirements.{kind}").write_text(text + "\n")
            (self.project / f"requirements-no-deps.{kind}").write_text(no_deps + "\n")

    @property
    def python(self) -> Path:
        return self.project / ".venv" / "bin" / "python"

    def start(self, **environ: str) -> subprocess.Popen:
        programs = {"PATH": f"{self.programs}:/usr/bin:/bin", "HOME": str(self.project), "PYTHON": str(REAL)}
        return subprocess.Popen(
            ["sh", self.project / "nni_setup" / "env.sh"],
            env=programs | environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def env(self, **environ: str) -> subprocess.CompletedProcess:
        run = self.start(**environ)
        out, err = run.communicate()
        return subprocess.CompletedProcess(run.args, run.returncode, out, err)

    def wheel(self) -> str:
        """A package whose dependency can't be had, as a line of requirements-no-deps.txt and its lock."""
        path = self.project / "old-1.0-py3-none-any.whl"
        with ZipFile(path, "w") as file:
            file.writestr("old.py", "WEIGHTS = 3")
            about = (
                "Metadata-Version: 2.1\nName: old\nVersion: 1.0\nRequires-Dist: no-such-package-at-all<1\n"
            )
            file.writestr("old-1.0.dist-info/METADATA", about)
            file.writestr(
                "old-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
            )
            file.writestr("old-1.0.dist-info/RECORD", "")
        return f"./{path.name} --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"

    def has_wheel(self) -> bool:
        return subprocess.run([self.python, "-c", "import old; assert old.WEIGHTS == 3"]).returncode == 0

    def runs(self, *command: Path | str) -> str:
        """What a program prints that is started in another folder, without this environment's variables."""
        return subprocess.run(
            command, env={}, cwd=self.programs, capture_output=True, text=True
        ).stdout.strip()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    small = Small(tmp_path_factory.mktemp("small"))
    small.first = small.env()
    assert small.first.returncode == 0, small.first.stderr
    return small


@pytest.fixture
def small(made, tmp_path):
    """A copy, with its environment: as if the project was copied or moved."""
    copy = Small(tmp_path)
    shutil.copytree(made.project / ".venv", copy.project / ".venv", symlinks=True)
    return copy


def test_made_once(made):
    assert "making .venv with" in made.first.stderr
    again = made.env()
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")


def test_its_python_has_the_preload(made):
    asked = [made.python, "-c", "import os; print(os.environ['NODE_OPTIONS'])"]
    said = subprocess.run(asked, env={}, capture_output=True, text=True)
    assert str(made.project) in said.stdout, said.stderr


def test_changed_pins_are_installed(small):
    small.env()
    small.pins("# something else")
    assert "making .venv" not in (changed := small.env()).stderr
    assert changed.returncode == 0
    assert (small.env().stdout, small.env().stderr) == ("", "")


def test_what_has_old_pins_is_installed_without_them_and_stamped_too(small):
    small.env()
    small.pins("# nothing", no_deps=small.wheel())
    done = small.env()
    assert done.returncode == 0, done.stderr
    assert "making .venv" not in done.stderr
    assert small.has_wheel()
    assert (small.env().stdout, small.env().stderr) == ("", "")
    small.pins("# nothing", no_deps="/no/such/folder")
    assert [small.env().returncode for _ in range(2)] == [1, 1]


def test_pins_that_cannot_be_installed_fail_every_time(small):
    small.pins("no-such-package-at-all==1; python_version < '3'\n/no/such/folder")
    for _ in range(2):
        done = small.env()
        assert done.returncode == 1
        assert "pip could not install the pins" in done.stderr


def test_a_package_with_another_hash_than_the_locks_is_refused(small):
    small.pins("# nothing", no_deps=small.wheel())
    with ZipFile(small.project / "old-1.0-py3-none-any.whl", "a") as file:
        file.writestr("other.py", "")
    done = small.env()
    assert done.returncode == 1
    assert "DO NOT MATCH THE HASHES" in done.stderr
    assert not small.has_wheel()


def test_a_lock_without_hashes_is_refused_and_lock_0_installs_the_pins(small):
    line, _, _ = small.wheel().partition(" ")
    small.pins("# nothing", no_deps=line)
    assert small.env().returncode == 1
    small.pins("# nothing", no_deps="/no/such/folder", kinds=("lock",))
    done = small.env(LOCK="0")
    assert done.returncode == 0, done.stderr
    assert small.has_wheel()
    assert (small.env().stdout, small.env().stderr) == ("", ""), "what was chosen once stays"


def test_it_is_made_from_a_folder_of_wheels_without_a_network(small):
    line = small.wheel()
    (small.project / "wheels").mkdir()
    shutil.move(small.project / "old-1.0-py3-none-any.whl", small.project / "wheels")
    small.pins("# nothing", no_deps=line.replace("./old-1.0-py3-none-any.whl", "old==1.0"))
    done = small.env(PIP_ARGS="--no-index --find-links wheels")
    assert done.returncode == 0, done.stderr
    assert small.has_wheel()


def test_the_project_is_installed_and_found_from_any_folder(made):
    here = str(made.project / "here.py")
    assert made.runs(made.python.with_name("small")) == here
    assert made.runs(made.python, "-c", "import here; here.main()") == here


def test_a_changed_pyproject_is_installed(small):
    (small.project / "backend.py").write_text(BACKEND.replace("small = here:main", "other = here:main"))
    (small.project / "pyproject.toml").write_text(PYPROJECT + "# a program more\n")
    done = small.env()
    assert (done.returncode, "making .venv" in done.stderr) == (0, False), done.stderr
    assert small.runs(small.python.with_name("other")) == str(small.project / "here.py")
    (small.project / "pyproject.toml").write_text(PYPROJECT.replace("backend", "gone"))
    done = small.env()
    assert done.returncode == 1
    assert "pip could not install this project" in done.stderr


def test_other_editable_installs_keep_their_paths(tmp_path):
    site, project = tmp_path / "project/.venv/lib/python3.11/site-packages", tmp_path / "project"
    site.mkdir(parents=True)
    lines = {"ours": project, "other": tmp_path / "other"}
    for name, path in lines.items():
        (site / f"__editable__.{name}-1.0.pth").write_text(f"{path}\n")
    relocate_editable(site, project)
    assert [(site / f"__editable__.{name}-1.0.pth").read_text() for name in lines] == [
        "../../../..\n",
        f"{lines['other']}\n",
    ]


def test_a_moved_project_still_works(small):
    pip = small.project / ".venv" / "bin" / "pip"
    before = subprocess.run([pip, "--version"], capture_output=True, text=True)
    assert str(small.project) in before.stdout, "even before make env: " + before.stderr
    here = str(small.project / "here.py")  # not that of the project it was copied from, which still exists
    assert small.runs(small.python, "-c", "import here; here.main()") == here
    assert small.runs(small.python.with_name("small")) == here
    assert "making .venv" not in (done := small.env()).stderr
    assert done.returncode == 0
    assert str(small.project) in (small.project / ".venv" / "bin" / "activate.csh").read_text()
    assert small.runs(small.python.with_name("small")) == here


@pytest.mark.parametrize("lost", ["lib", "bin"])
def test_half_an_environment_is_made_again(small, lost):
    small.pins("# nothing", no_deps=small.wheel())
    assert small.env().returncode == 0
    shutil.rmtree(small.project / ".venv" / lost)
    done = small.env()
    assert done.returncode == 0, done.stderr
    assert "making .venv" in done.stderr
    assert small.has_wheel(), "with its packages"


def test_looks_on_past_a_python_that_does_not_run(tmp_path):
    small = Small(tmp_path)
    script(small.programs / "python3.12", "echo 'not installed' >&2; exit 127")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "python3.13").symlink_to(REAL)
    done = small.env(PATH=f"{small.programs}:{tmp_path / 'more'}:/usr/bin:/bin", PYTHON="")
    assert done.returncode == 0, done.stderr
    assert "not installed" not in done.stderr


@pytest.mark.parametrize("asked", ["", "/no/such/python"])
def test_says_in_one_line_which_python_is_needed(tmp_path, asked):
    small = Small(tmp_path)
    for name in ("python3.12", "python3.11", "python3.13", "python3", "python"):
        script(small.programs / name, "exit 127")
    for tool in ("sh", "cat", "cksum", "dirname", "rm", "uname"):
        (small.programs / tool).symlink_to(shutil.which(tool) or "/bin/" + tool)
    done = small.env(PATH=str(small.programs), PYTHON=asked)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "3.11, 3.12 or 3.13" in done.stderr


def test_on_arm_it_says_what_works(small):
    script(small.programs / "uname", "echo aarch64")
    done = small.env()
    assert done.returncode == 0
    assert "NNI has no build for aarch64" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("NNI")
