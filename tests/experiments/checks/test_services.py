"""The GPUs that an experiment asks for."""

import pytest

from experiments.check import check
from tests.experiments.conftest import errors, give

pytest.importorskip("nni")
LOCAL = {"platform": "local"}
GPUS = {
    "for each trial": {"trialGpuNumber": 1, "trainingService": {**LOCAL, "useActiveGpu": True}},
    "for each trial, inside": {"trainingService": {**LOCAL, "trialGpuNumber": 1, "useActiveGpu": False}},
    "active": {"trainingService": {**LOCAL, "useActiveGpu": True}},
    "by number": {"trainingService": {**LOCAL, "gpuIndices": "0"}},
    "for the tuner": {"tunerGpuIndices": 0},
}


@pytest.mark.parametrize("keys", GPUS.values(), ids=GPUS)
def test_gpus_where_there_are_none(mine, fast, monkeypatch, keys):
    monkeypatch.setenv("PATH", "/nowhere")
    (found,) = errors(give(mine, **keys))
    assert found.endswith(
        "NNI finds no GPU here (it asks nvidia-smi), so no trial would start; leave them out"
    )


@pytest.fixture
def two_gpus(monkeypatch, tmp_path):
    tool = tmp_path / "bin" / "nvidia-smi"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\necho 'GPU 0: NVIDIA A (UUID: GPU-1)'\necho 'GPU 1: NVIDIA A (UUID: GPU-2)'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:/bin:/usr/bin")


def test_gpus_that_are_there(mine, fast, two_gpus):
    service = {**LOCAL, "useActiveGpu": True, "gpuIndices": [0, 1], "maxTrialNumberPerGpu": 2}
    check(give(mine, trialGpuNumber=2, trainingService=service))
    (found,) = errors(give(mine, trialGpuNumber=3, trainingService={**LOCAL, "useActiveGpu": True}))
    assert found == "trialGpuNumber: 3, useActiveGpu: true: there are 2 GPUs here, counted from 0"
    assert errors(give(mine, trialGpuNumber=None, tunerGpuIndices=2)) == [
        "tunerGpuIndices: 2, useActiveGpu: true: there are 2 GPUs here, counted from 0"
    ]
    service = {**LOCAL, "useActiveGpu": True, "gpuIndices": [1]}
    assert errors(give(mine, trialGpuNumber=2, tunerGpuIndices=None, trainingService=service)) == [
        "trainingService.gpuIndices: 1 of them can't hold a trial of trialGpuNumber: 2"
    ]
