"""The script for a machine with a GPU, on the CPU."""

import json
import subprocess
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from benchmarks import gpu
from common.machine import PROJECT
from tests.forked import Forked


@pytest.mark.slow
def test_all_parts_run_and_are_recorded(tmp_path, monkeypatch):
    """Trials and the script itself without imports of their own, pytest without workers."""
    trials = SimpleNamespace(
        Popen=lambda command, **_: Forked(*command[1:]), run=subprocess.run, DEVNULL=subprocess.DEVNULL
    )
    monkeypatch.setattr(gpu, "subprocess", trials)
    tests = ("tests/trial/process/test_compute.py", "-k", "elsewhere", "-n", "0")
    cases = (("lcnet_050", (32, 24), 64),)
    monkeypatch.setattr(gpu, "DRY", replace(gpu.DRY, cases=cases, batch=64, tests=tests))
    monkeypatch.setattr("sys.argv", ["gpu", "--dry", "--out", str(tmp_path)])
    gpu.main()
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert found["dry"]
    rivals = [row["rival"].partition(",")[0] for row in found["training"]]
    assert rivals == ["limit", "plain way", "photos copied"]
    assert found["baseline"]["minutes"] > 19 * found["baseline"]["second_epoch"]
    assert set(found["at_once"]) == {"seconds_of_one", "2"}
    case = "test_resnet.r160_in1k 32x32 compile="
    names = [f"{case}{how}{when}" for how in ("false", "true", "graphs") for when in (", first", "")]
    assert list(found["compiled"]) == names
    assert found["tests"]["passed"]


@pytest.mark.slow
def test_a_part_that_is_over_its_deadline_is_left_and_the_others_run(tmp_path, monkeypatch, capsys):
    def slow(plan, folder, log):
        log.write_text("half of the tests\n")
        time.sleep(30)

    monkeypatch.setattr(gpu, "DRY_SECONDS", 1)
    monkeypatch.setattr(gpu, "tests_pass", slow)
    monkeypatch.setattr(gpu, "training_rows", lambda plan, folder: iter(()))
    for name in ("baseline_minutes", "at_once", "compiled"):
        monkeypatch.setattr(gpu, name, lambda plan, folder: {"seconds": 1.0})
    monkeypatch.setattr("sys.argv", ["gpu", "--dry", "--out", str(tmp_path)])
    with pytest.raises(SystemExit):
        gpu.main()
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert found["over_time"] == ["tests"] and found["compiled"] == {"seconds": 1.0}
    assert "tests: over its 1 s, left" in capsys.readouterr().out
    assert sum(gpu.SECONDS.values()) < 8 * 60


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is one")
def test_without_a_gpu_it_says_so():
    done = subprocess.run([PROJECT / "benchmarks/gpu.sh"], capture_output=True, text=True)
    assert done.returncode == 1
    assert (
        done.stderr.strip() == "benchmarks/gpu.sh: torch sees no GPU here; --dry tries the script on the CPU"
    )
