"""How many trials fit into a GPU's memory; the GPU is a script in place of nvidia-smi."""

import contextlib
import json
import sqlite3

import pytest
import torch

from dataset.read import read_train
from experiments.check import check
from experiments.checks import gpu_memory
from experiments.checks.gpu_memory import CONTEXT, Memory, free_bytes, largest, memory_of, peak_of, recorded
from experiments.plan import Plan, read_plan
from tests.conftest import TINY
from tests.experiments.conftest import errors, give
from trial import fit
from trial.config import parse
from trial.process.compute import Compute

GIB = 2**30
ON_GPU = {"platform": "local", "trialGpuNumber": 1, "useActiveGpu": True}


@pytest.mark.parametrize(
    ("need", "free", "trials"),
    [(3 * GIB, 40 * GIB, 9), (35 * GIB, 40 * GIB, 1), (36 * GIB, 40 * GIB, 0), (0, 20 * CONTEXT, 18)],
)
def test_as_many_fit_as_a_tenth_less_than_the_memory_holds(need, free, trials):
    memory = Memory(need, free, "measured")
    assert memory.trials == trials
    assert memory.errors(max(1, trials)) == []
    (said,) = memory.errors(max(1, trials) + 1)
    assert said.startswith(f"trainingService.maxTrialNumberPerGpu: {max(1, trials) + 1}: they would not fit")
    assert said.endswith(memory.line())


def test_what_is_said():
    assert Memory(3 * GIB, 40 * GIB, "measured").line() == (
        "GPU memory: a trial holds up to 3.0 GiB (measured), 40.0 GiB are free: maxTrialNumberPerGpu may be 9"
    )
    assert Memory(30 * GIB, 40 * GIB, "measured").line().endswith("are free: one fits")
    assert Memory(40 * GIB, 40 * GIB, "measured").line().endswith("none fits without halving its batches")


def test_for_each_network_the_largest_photos_and_batches_that_it_takes():
    found = largest(
        parse({"weights": "none", **values}, present=False)
        for values in (
            {"model": "resnet18", "image_size": "64x48", "batch_size": 64},
            {"model": "resnet18", "image_size": "128x96", "batch_size": 16, "ema": 0.9},
            {"model": "test_vit.r160_in1k", "image_size": "160x160", "batch_size": 8},  # takes no other size
            {"model": "resnet34", "features": "cached", "batch_size": 512},
        )
    )
    assert [(one.model, one.image_size, one.batch_size, one.ema) for one in found] == [
        ("resnet18", (160, 160), 64, 0.9),
        ("test_vit.r160_in1k", (160, 160), 64, 0),
    ]


@pytest.fixture
def gpu(monkeypatch, tmp_path):
    """Writes nvidia-smi of two GPUs: it lists them, or prints `free`, in MiB."""
    tool = tmp_path / "bin" / "nvidia-smi"
    tool.parent.mkdir()
    monkeypatch.setenv("PATH", f"{tool.parent}:/bin:/usr/bin")

    def write(free: str) -> None:
        listed = "GPU 0: NVIDIA A (UUID: GPU-1)\\nGPU 1: NVIDIA A (UUID: GPU-2)"
        tool.write_text(
            f'#!/bin/sh\ncase "$*" in -L) printf "{listed}\\n";; '
            f'"-i 1 "*) echo 9000;; *memory.free*) printf "{free}\\n";; esac\n'
        )
        tool.chmod(0o755)

    write("40960\\n30720")
    return write


def test_the_fullest_gpu_counts(gpu):
    assert free_bytes([]) == 30 * GIB
    assert free_bytes([1]) == 9000 * 2**20
    gpu("[Insufficient Permissions]")
    assert free_bytes([]) is None


def test_without_nvidia_smi_nothing_is_known(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert free_bytes([]) is None


def test_too_many_trials_on_a_gpu_are_refused_and_the_right_number_is_said(mine, fast, gpu, monkeypatch):
    asked = []

    def probe(recipes, indices):
        asked.append((recipes, indices))
        return [9 * GIB, 2 * GIB]

    monkeypatch.setattr(gpu_memory, "_probe", probe)
    per_gpu = {"trainingService": {**ON_GPU, "maxTrialNumberPerGpu": 3}}
    (said,) = errors(give(mine, **per_gpu))
    assert said.startswith("trainingService.maxTrialNumberPerGpu: 3: they would not fit; GPU memory: a trial")
    assert (
        "holds up to 9.0 GiB (measured with 1 recipe), 30.0 GiB are free: maxTrialNumberPerGpu may be 2"
        in said
    )
    (((recipe,), indices),) = asked
    assert (recipe["model"], recipe["batch_size"], indices) == ("test_resnet.r160_in1k", 32, [])
    plan = check(give(mine, trainingService={**ON_GPU, "gpuIndices": "1", "maxTrialNumberPerGpu": 1}))
    assert "GPU memory: a trial holds up to 9.0 GiB" in plan.notes[-1] and plan.notes[-1].endswith(
        "halving its batches"
    )
    assert asked[-1][1] == [1]


def test_it_is_not_measured_for_trials_without_a_gpu_or_with_several(mine, gpu, monkeypatch):
    monkeypatch.setattr(gpu_memory, "_probe", None)
    for service in ({}, {"trialGpuNumber": 2}):
        plan = Plan(mine.yaml, {"trainingService": {"platform": "local", **service}}, {}, "", ())
        assert memory_of(plan, ()) is None


def test_what_trials_of_the_same_search_held_is_known(mine, gpu, monkeypatch):
    monkeypatch.setattr(gpu_memory, "_probe", None)
    plan = check_plan(mine)
    folder = plan.runs / "abcdefgh"
    config = plan.effective()
    write_experiment(folder, config, [*range(1, 11), None])
    status = folder / "trials" / "99"
    status.mkdir()
    (status / "status.json").write_text(json.dumps({"state": "done", "reason": "", "device_bytes": 99 * GIB}))
    (status / "origin.json").write_text(json.dumps({"data_fingerprint": "", "pixels": "device"}))
    assert sorted(recorded(plan)) == [number * GIB for number in range(1, 11)]
    assert memory_of(plan, ()) == Memory(10 * GIB, 30 * GIB, "the most of 10 earlier trials")
    write_experiment(plan.runs / "ijklmnop", config | {"trialCommand": "another"}, range(1, 20))
    assert len(recorded(plan)) == 10
    (folder / "trials" / "0" / "status.json").unlink()  # too few are left
    assert recorded(plan) == []


def check_plan(mine) -> Plan:
    plan, found = read_plan(give(mine, trainingService=ON_GPU))
    assert plan is not None and not found
    return plan


def write_experiment(folder, config, gib) -> None:
    (folder / "db").mkdir(parents=True)
    with contextlib.closing(sqlite3.connect(folder / "db" / "nni.sqlite")) as database, database:
        database.execute("create table ExperimentProfile (params text, revision int)")
        database.execute("insert into ExperimentProfile values (?, 0)", (json.dumps(config),))
    for number, size in enumerate(gib):
        run = folder / "trials" / str(number)
        run.mkdir(parents=True)
        held = {"device_bytes": size * GIB} if size else {}
        (run / "status.json").write_text(json.dumps({"state": "done", "reason": "", **held}))
        (run / "origin.json").write_text(json.dumps({"data_fingerprint": "", "pixels": "host"}))


def test_the_probe_trains_and_validates_whole_batches(people, monkeypatch):
    monkeypatch.setattr(Compute, "device_bytes", lambda self: 7)
    sizes = []
    config = parse(
        {**TINY, **gpu_memory.PLAIN, "batch_size": 4, "fold": "all", "folds": 2, "data": str(people)}
    )
    data = read_train(people)

    def noted(network, preprocessing, photos, whole=fit._forward):
        sizes.append(len(photos))
        return whole(network, preprocessing, photos)

    monkeypatch.setattr("trial.fit._forward", noted)
    assert peak_of(config, data.task, data.table) == 7
    assert sizes == [4] * 8  # each fold's validation of 16 photos, one batch on a GPU


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here")
def test_a_probe_that_cannot_measure_says_why(caplog):
    caplog.set_level("INFO")
    assert gpu_memory._probe([], []) == []
    assert "was not measured: torch sees no GPU" in caplog.text
