import os
import shutil
import subprocess
import sys

import pytest

from common import machine


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="macOS binds no process to cores")
def test_cores_are_those_that_the_process_may_use():
    code = "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])\n"
    code += "from common.machine import cores; print(cores())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "1\n", done.stderr


def test_files_of_ones_own_are_not_shipped(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "PROJECT", tmp_path)
    folder = tmp_path / "experiments"
    folder.mkdir()
    for name in ("loss.yaml", "mine.yaml", "notes.txt"):
        (folder / name).touch()
    (folder / "earlier.yaml").symlink_to("loss.yaml")
    assert [path.name for path in machine.shipped("experiments", "*.yaml")] == ["loss.yaml", "mine.yaml"]
    assert machine.tracked("experiments", "*.yaml") == []
    if shutil.which("git"):
        subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
        subprocess.run(["git", "add", "experiments/loss.yaml"], cwd=tmp_path, check=True)
        for files in (machine.shipped, machine.tracked):
            assert [path.name for path in files("experiments", "*.yaml")] == ["loss.yaml"]
