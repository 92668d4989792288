"""The script for a machine with a GPU, on the CPU."""

import json
import subprocess
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
    tests = ("tests/trial/test_compute.py", "-k", "elsewhere", "-n", "0")
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


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is one")
def test_without_a_gpu_it_says_so():
    done = subprocess.run([PROJECT / "benchmarks/gpu.sh"], capture_output=True, text=True)
    assert done.returncode == 1
    assert (
        done.stderr.strip() == "benchmarks/gpu.sh: torch sees no GPU here; --dry tries the script on the CPU"
    )
