import contextlib
import os
import runpy
import sys
import tempfile
import traceback
from pathlib import Path
from subprocess import CompletedProcess
from types import SimpleNamespace

import pytest
import yaml

from common.errors import UsageError
from experiments import check as checking
from experiments.checks import rehearsal

PROJECT = Path(__file__).resolve().parents[2]
GOOD = f"""
experimentName: mine
experimentWorkingDirectory: runs
searchSpaceFile: space.json
trialCodeDirectory: {PROJECT}
trialCommand: >-
  python -m trial data=input model=test_resnet.r160_in1k weights=none image_size=32x32
  epochs=2 batch_size=32 threads=1
trialConcurrency: 2
maxTrialNumber: 2
tuner: {{className: tuners.search.Search, codeDirectory: {PROJECT}, classArgs: {{seed: 1}}}}
trainingService: {{platform: local}}
"""
SPACE = '{"learning_rate": {"_type": "loguniform", "_value": [0.001, 0.01]}}'


class Mine:
    """An experiment in `folder`: mine.yaml and space.json."""

    def __init__(self, folder: Path):
        self.folder, self.yaml, self.space = folder, folder / "mine.yaml", folder / "space.json"
        self.yaml.write_text(GOOD)
        self.space.write_text(SPACE)

    def change(self, old: str, new: str) -> Path:
        text = self.yaml.read_text()
        assert old in text
        self.yaml.write_text(text.replace(old, new))
        return self.yaml


@pytest.fixture
def mine(tmp_path):
    return Mine(tmp_path)


@pytest.fixture
def fast(monkeypatch):
    """Skip the check of the photos, and try the tuner in a fork of this process, which has imported what takes a
    second. tests/experiments/test_check.py has it tried as it is."""
    monkeypatch.setattr(checking, "data_errors", lambda plan: [])
    instead = SimpleNamespace(run=_in_a_fork, TimeoutExpired=rehearsal.subprocess.TimeoutExpired)
    monkeypatch.setattr(rehearsal, "subprocess", instead)


def _in_a_fork(command, cwd, env, **_) -> CompletedProcess:
    """Run `command`, python -P SCRIPT ARGUMENTS, as subprocess.run does."""
    with contextlib.suppress(ImportError):
        import tuners.search  # noqa: F401  and nni with it, for this and the next forks
    _, _, script, *arguments = command
    with tempfile.TemporaryFile("w+") as said:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                os.dup2(said.fileno(), 2)
                sys.stdout = sys.stderr = os.fdopen(2, "w", closefd=False)
                os.chdir(cwd)
                os.environ.update(env)
                sys.argv = [script, *arguments]
                for name in [name for name in sys.modules if name.partition(".")[0] == "tuners"]:
                    del sys.modules[name]  # it may find others of that name
                runpy.run_path(script, run_name="__main__")
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        said.seek(0)
        return CompletedProcess(command, code, "", said.read())


def errors(*arguments, **named):
    with pytest.raises(UsageError) as caught:
        checking.check(*arguments, **named)
    return caught.value.errors


def give(mine, **keys):
    """The path of `mine`'s YAML after these keys were set; None removes a key."""
    config = yaml.safe_load(mine.yaml.read_text())
    config.update(keys)
    kept = {key: value for key, value in config.items() if value is not None}
    mine.yaml.write_text(yaml.safe_dump(kept, allow_unicode=True))
    return mine.yaml
