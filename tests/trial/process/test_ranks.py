"""One network trained by several processes: on the CPU, with gloo."""

import os
import re
import subprocess
import sys
import time
from types import SimpleNamespace

import pandas as pd
import pytest
import torch
from timm.layers import BatchNormAct2d, SyncBatchNormAct
from torch import nn

from analysis.__main__ import app
from common.errors import errors_of
from common.machine import PROJECT
from common.nni_yaml import split_command
from tests.conftest import TINY, call
from tests.forked import Forked
from trial.config import parse, refuse_together
from trial.process import ranks
from trial.process.ranks import STORE, Ranks, run_ranks
from trial.process.signals import STOPPED
from trial.run import run
from trial.run_folder.checkpoint import CHECKPOINT
from trial.run_folder.predictions import probabilities_of
from trial.run_folder.record import RunFolder, RunWriter

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
# Without batch normalisation, with all that reaches over a batch, a step or an epoch; parts differ in size.
RECIPE = {
    **TINY, "model": "test_convnext.r160_in1k", "device": "cpu", "batch_size": 23, "epochs": 3,
    "loss": "weighted", "augment": "light", "mixing": "cutmix", "accumulate": 2, "clip_norm": 1, "ema": 0.9,
    "freeze": "gradual",
}  # fmt: skip


def words(values):
    return [f"{name}={value}" for name, value in values.items()]


def two(place, *words):
    """The processes of both ranks, started as `run_ranks` does, but without a new interpreter for each."""
    environ = {STORE: place / "store", "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2, "GLOO_SOCKET_IFNAME": "lo"}
    (place / "store").unlink(missing_ok=True)
    return [Forked(*words, env={**os.environ, **environ, "RANK": rank}) for rank in range(2)]


def end(processes):
    """What they printed, once both have ended well."""
    printed = ["".join(process.communicate(200)) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], printed
    return "".join(printed)


def of_one_process(folder, values):
    config = parse(values)
    writer = RunWriter(folder, config)
    run(config, writer, lambda report: None)
    writer.end("done")
    return RunFolder(folder)


def assert_same(one, other):
    rows = [folder.epochs().drop(columns="seconds") for folder in (one, other)]
    pd.testing.assert_frame_equal(*rows, atol=1e-4, rtol=1e-4)
    answers = [folder.validation() for folder in (one, other)]
    assert list(answers[0]["photo"]) == list(answers[1]["photo"])
    assert abs(probabilities_of(answers[0]) - probabilities_of(answers[1])).max() < 1e-4
    assert sorted(path.name for path in one.folder.iterdir()) == sorted(
        path.name for path in other.folder.iterdir() if path.name not in (".nni", "trial.log")
    )


@pytest.mark.slow
def test_a_trial_of_two_processes_is_that_of_one_and_nni_hears_of_it_once(people, tmp_path):
    values = {**RECIPE, "data": str(people)}
    folder = tmp_path / "trials" / "abc"
    (folder / ".nni").mkdir(parents=True)
    trial = ["--no-python", sys.executable, "-m", "trial"]  # as in an experiment's YAML
    nni = dict(
        NNI_PLATFORM="local", NNI_EXP_ID="e", NNI_TRIAL_JOB_ID="abc", NNI_TRIAL_SEQ_ID="0",
        NNI_OUTPUT_DIR=str(folder), NNI_SYS_DIR=str(tmp_path / "sys"),
    )  # fmt: skip
    process = subprocess.Popen(
        [*TORCHRUN, *trial, *words(values)], cwd=PROJECT, env={**os.environ, **nni}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    (tmp_path / "sys" / ".nni").mkdir(parents=True)
    (tmp_path / "sys" / "parameter.cfg").write_text('{"parameter_id": 0, "parameters": {"seed": 1}}')
    printed, _ = process.communicate(timeout=300)
    assert process.returncode == 0, printed
    assert_same(of_one_process(tmp_path / "one", {**values, "seed": 1}), RunFolder(folder))
    assert RunFolder(folder).status()["state"] == "done"
    assert RunFolder(folder).origin()["compute"]["processes"] == 2
    shown = printed + (folder / "trial.log").read_text()  # where nni puts what a trial prints
    assert len(re.findall(r"\bepoch \d/3", shown)) == 3, shown
    assert shown.count("run folder:") == 1
    told = (tmp_path / "sys" / ".nni" / "metrics").read_text()
    assert (told.count("PERIODICAL"), told.count("FINAL")) == (3, 1)


@pytest.mark.slow
def test_a_killed_process_ends_all_and_the_run_goes_on(people, tmp_path):
    values = {**RECIPE, "data": str(people), "epochs": 6}
    folder = tmp_path / "two"
    first, other = two(tmp_path, "-m", "trial", *words(values), f"out={folder}")
    deadline = time.monotonic() + 200
    while not (folder / CHECKPOINT).exists():
        assert time.monotonic() < deadline and first.poll() is None
        time.sleep(0.02)
    other.kill()
    _, errors = first.communicate(60)
    assert first.returncode == STOPPED, errors
    assert "another process of this training ended" in errors
    status = RunFolder(folder).status()
    assert status["state"] == "interrupted"
    assert status["epochs"] < 6
    assert end(two(tmp_path, "-m", "trial", "--continue", folder)).count("going on after epoch") == 1
    assert_same(of_one_process(tmp_path / "one", values), RunFolder(folder))
    assert RunFolder(folder).status()["state"] == "done"


@pytest.mark.slow
def test_a_recipe_is_retrained_by_two_processes(people, tmp_path, monkeypatch):
    def start(command, env, **_):
        return Forked(*command[1:], env=env)

    monkeypatch.setattr(ranks, "subprocess", SimpleNamespace(Popen=start))
    folder = tmp_path / "run"
    of_one_process(folder, {**TINY, "data": str(people), "device": "cpu"})
    out = tmp_path / "out"
    result = call(
        app, "retrain", folder / "config.json", "device=cpu", "--data", people, "--out", out, "--gpus", 2
    )
    assert result.exit_code == 0, result.output
    assert (out / "submission.csv").is_file()
    retrained = RunFolder(out)
    assert retrained.status()["state"] == "done"
    assert retrained.origin()["compute"]["processes"] == 2
    assert len(retrained.epochs()) == retrained.status()["epochs"]


# Run by each of two processes. Batches of one photo to five: parts of none, of one, and of different sizes.
CHECKS = """
import torch
from torch import nn
from trial.process.ranks import started_as

ranks = started_as()
ranks.join()
torch.manual_seed(0)
network = nn.Sequential(nn.Linear(3, 4), nn.GELU(), nn.Linear(4, 2))
together = ranks.parallel(network, frozen=False)
for photos in range(1, 6):
    images = torch.randn(photos, 3)
    whole = network(images)
    expected = torch.autograd.grad(whole.logsumexp((0, 1)), list(network.parameters()))
    logits = ranks.logits(together, images)
    torch.testing.assert_close(logits, whole)
    network.zero_grad()
    (logits.logsumexp((0, 1)) * ranks.world).backward()
    torch.testing.assert_close([parameter.grad for parameter in network.parameters()], list(expected))
norm = nn.BatchNorm1d(1)
norm(torch.tensor([[0.0], [2.0]]) + 10 * ranks.rank)
ranks.average_statistics(nn.Sequential(norm), norm)
torch.testing.assert_close(norm.running_mean, torch.tensor([0.6]))
assert ranks.broadcast("of rank 0" if ranks.rank == 0 else None) == "of rank 0"
ranks.leave()
"""


@pytest.mark.slow
def test_parts_of_any_size_give_the_logits_and_gradients_of_the_batch(tmp_path):
    end(two(tmp_path, "-c", CHECKS))


def test_an_experiment_may_start_its_trials_by_torchrun():
    start, fixed = split_command("torchrun --nproc-per-node 2 --no-python python -m trial data=input")
    assert start.startswith("torchrun ")
    assert fixed == ("data=input",)


def test_what_several_processes_cannot_do_is_refused_at_once():
    config = parse({**TINY, "fold": "all", "batch_size": 3, "device": "cuda:0"}, present=False)
    errors = errors_of(refuse_together, config, 2)
    assert [error.partition(": ")[0] for error in errors] == ["device=cuda:0", "fold=all", "batch_size=3"]
    assert errors_of(refuse_together, config, 1) == []
    cached = parse({**TINY, "features": "cached", "device": "cpu"}, present=False)
    (error,) = errors_of(refuse_together, cached, 2)
    assert error.startswith("features=cached: one process")


def test_more_gpus_than_there_are_are_refused_before_anything_starts(people, tmp_path):
    gpus = torch.cuda.device_count() + 2
    recipe = tmp_path / "recipe.json"
    recipe.write_text('{"recipe": {"model": "test_resnet", "weights": "none", "image_size": "32x32"}}')
    result = call(app, "retrain", recipe, "--data", people, "--out", tmp_path / "out", "--gpus", gpus)
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"{gpus} processes: this machine has {gpus - 2} GPUs")
    assert not (tmp_path / "out").exists()


def test_synchronised_batch_norms_keep_weights_and_activations():
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), BatchNormAct2d(4))
    before = network.state_dict()
    for _ in range(2):  # a network is placed on its GPU twice if features of photos are made first
        Ranks(0, 2).synchronise(network)
    assert type(network[1]) is nn.SyncBatchNorm
    assert type(network[2]) is SyncBatchNormAct
    assert isinstance(network[2].act, nn.ReLU)
    after = network.state_dict()
    assert after.keys() == before.keys()
    assert all(after[name] is before[name] or torch.equal(after[name], before[name]) for name in before)


JOIN = """
import psutil, sys
from trial.process.ranks import started_as
ranks = started_as()
ranks.join()
heard = ranks.broadcast("told")
own = psutil.Process().net_connections("inet")
print(ranks.rank, heard, *{one.laddr.ip for one in own if one.status == psutil.CONN_LISTEN}, flush=True)
ranks.broadcast()  # not before the other has looked
ranks.leave()
sys.exit(7 if ranks.rank else 0)
"""


@pytest.mark.slow
def test_processes_listen_on_loopback_only_and_the_exit_code_is_that_of_the_one_that_failed(capfd):
    assert run_ranks(2, ["-c", JOIN], 1) == 7
    printed = sorted(capfd.readouterr().out.splitlines())
    assert printed == ["0 told 127.0.0.1", "1 told 127.0.0.1"]
