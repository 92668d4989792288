"""Memory that runs out, losses that are not numbers, workers that die: said, recorded, and nothing good is lost."""

import errno
import json

import pytest
import torch

from common.errors import failure_words
from dataset.read import read_train
from tests import forked
from tests.conftest import TINY, call
from tests.trial.training import training_of
from trial.commands import train
from trial.config import parse
from trial.data.batches import on_device
from trial.fit import fit
from trial.forward import Forward
from trial.run_folder.record import RunFolder

VIT = parse(
    {**TINY, "model": "test_vit.r160_in1k", "precision": "float32", "image_size": "160x160", "epochs": 2}
)


@pytest.fixture(autouse=True)
def _sigterm_is_left_alone(monkeypatch):
    """The command blocks SIGTERM for good, which other tests of this process wait for."""
    monkeypatch.setattr("trial.process.signals.on_stop", lambda write: None)


@pytest.fixture(scope="module")
def table(people):
    return read_train(people).table.head(75)  # two whole batches, and one of 11


def small_memory(network: torch.nn.Module, photos: int) -> list[int]:
    """Let the network run out of memory with more than `photos` at once in training; the sizes that it got."""
    forward, sizes = network.forward, []

    def limited(images):
        if network.training and len(images) > photos:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        sizes.append(len(images))
        return forward(images)

    network.forward = limited
    return sizes


@pytest.mark.slow
@pytest.mark.parametrize("accumulate", [1, 3])
def test_batches_are_halved_until_they_fit_and_learn_the_same(table, caplog, accumulate):
    config = parse({**VIT.to_json(), "accumulate": accumulate})
    plain = list(fit(training_of(config, table)))
    training = training_of(config, table)
    sizes = small_memory(training.network, 8)
    halved = list(fit(training))
    assert [epoch.parts for epoch in plain] == [1, 1]
    assert [epoch.parts for epoch in halved] == [4, 4]
    assert set(sizes) <= {8, 2, 3}, "32 photos in four parts, 11 in four"
    assert sum(sizes) == 2 * len(table)
    for one, other in zip(plain, halved, strict=True):
        assert other.train_loss == pytest.approx(one.train_loss, rel=1e-4)
        assert other.train_accuracy == one.train_accuracy
    said = [message for message in caplog.messages if "out of memory" in message]
    assert len(said) == 2
    assert "out of memory in epoch 1: batches of 32 photos are trained in 4 parts from now on" in said[-1]


@pytest.mark.slow
def test_memory_that_runs_out_in_the_middle_of_a_step_loses_no_photo_of_it(table):
    """The second of two accumulated batches does not fit: the first one's gradients are added again."""
    config = parse({**VIT.to_json(), "accumulate": 2, "epochs": 1, "optimizer": "sgd", "learning_rate": 0.1})
    (plain,) = fit(training_of(config, table.head(64)))
    weights = plain.network.state_dict()
    training = training_of(config, table.head(64))
    forward, calls = training.network.forward, []

    def limited(images):
        calls.append(len(images))
        if len(calls) == 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(images)

    training.network.forward = limited
    (halved,) = fit(training)
    assert calls == [32, 32, 16, 16, 16, 16]
    for name, tensor in halved.network.state_dict().items():
        assert torch.allclose(tensor, weights[name], atol=1e-4), name


def test_what_does_not_fit_at_all_is_said(table):
    training = training_of(VIT, table)
    sizes = small_memory(training.network, 1)
    with pytest.raises(torch.OutOfMemoryError) as caught:
        list(fit(training))
    assert sizes == []
    assert failure_words(caught.value).startswith("out of memory on the device, even in parts of two photos")


def test_an_optimizers_state_that_does_not_fit_is_said(table):
    """Halved batches would not make it smaller."""
    training = training_of(VIT, table)

    def step():
        raise torch.OutOfMemoryError("CUDA out of memory")

    training.learner.optimizer.step = step
    with pytest.raises(torch.OutOfMemoryError) as caught:
        list(fit(training))
    words = "out of memory on the device, in the optimizer's step, whose state does not fit; use a smaller"
    assert failure_words(caught.value).startswith(words)


def arguments(people, out, **values):
    return [f"{key}={value}" for key, value in {**TINY, "data": people, "out": out, **values}.items()]


def test_a_run_records_the_parts(people, tmp_path, monkeypatch):
    whole = Forward.in_parts

    def limited(forward, network, batch, index, parts):
        if parts < 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return whole(forward, network, batch, index, parts)

    monkeypatch.setattr(Forward, "in_parts", limited)
    result = call(train.app, *arguments(people, tmp_path / "run", epochs=1))
    assert result.exit_code == 0
    assert "trained in 2 parts from now on" in result.stderr
    status = json.loads((tmp_path / "run" / "status.json").read_text())
    assert (status["state"], status["batch_parts"]) == ("done", 2)
    assert json.loads((tmp_path / "run" / "config.json").read_text())["batch_size"] == 32, "as asked for"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), "out of memory on the device"),
        (MemoryError("Unable to allocate 9 GiB"), "out of memory (Unable to allocate 9 GiB)"),
        (
            RuntimeError(
                "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9"
            ),
            "out of memory ([enforce fail] DefaultCPUAllocator",
        ),
        (RuntimeError("CUDA error: out of memory\nCompile with"), "out of memory on the device; use"),
        (FloatingPointError("the training loss is nan at step 3"), "the training loss is nan at step 3"),
        (
            RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. x"),
            "a process of the loader ended",
        ),
    ],
)
def test_a_run_without_memory_fails_with_that_reason(people, tmp_path, monkeypatch, error, words):
    def fail(*_):
        raise error

    monkeypatch.setattr(Forward, "in_parts", fail)
    result = call(train.app, *arguments(people, tmp_path / "run"))
    assert result.exit_code == 1
    assert "Traceback" not in result.stderr
    assert f"failed: {words}" in result.stderr
    status = RunFolder(tmp_path / "run").status()
    assert (status["state"], status["reason"].startswith(words)) == ("failed", True)


def test_a_run_whose_disk_fails_in_the_end_is_not_done(people, tmp_path, monkeypatch):
    def fail(*paths):
        raise OSError(errno.EIO, "Input/output error", "weights.safetensors")

    monkeypatch.setattr("trial.run_folder.record.sync", fail)
    result = call(train.app, *arguments(people, tmp_path / "run", epochs=1))
    assert (result.exit_code, "Traceback" in result.stderr) == (1, False)
    status = RunFolder(tmp_path / "run").status()
    assert (status["state"], status["reason"]) == (
        "failed",
        "weights.safetensors: the disk reports an error",
    )


def test_a_run_whose_gpu_is_gone_is_interrupted_and_goes_on(people, tmp_path, monkeypatch):
    whole, steps = Forward.in_parts, []

    def fail(forward, network, batch, index, parts):
        steps.append(index)
        if len(steps) > 1 and index == 0:  # in its second epoch
            raise RuntimeError(
                "CUDA error: uncorrectable ECC error encountered\nSearch for it in CUDA's documents"
            )
        return whole(forward, network, batch, index, parts)

    monkeypatch.setattr(Forward, "in_parts", fail)
    result = call(train.app, *arguments(people, tmp_path / "run"))
    assert result.exit_code == 143, "of a signal: NNI runs it again"
    words = "its GPU is gone (CUDA error: uncorrectable ECC error encountered)"
    status = RunFolder(tmp_path / "run").status()
    assert (status["state"], status["reason"], status["epochs"]) == ("interrupted", words, 1)
    monkeypatch.undo()
    monkeypatch.setattr("trial.process.signals.on_stop", lambda write: None)
    assert call(train.app, "--continue", tmp_path / "run").exit_code == 0
    assert RunFolder(tmp_path / "run").status()["state"] == "done"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_loss_that_is_no_number_stops_at_its_step_and_keeps_the_best_network(
    people, tmp_path, monkeypatch, value, accumulate
):
    whole, seen = Forward.in_parts, []

    def diverging(forward, network, batch, index, parts):
        seen.append((batch.epoch, index))
        for loss, logits, targets in whole(forward, network, batch, index, parts):
            yield (loss * value if (batch.epoch, index) == (2, 3) else loss), logits, targets

    monkeypatch.setattr(Forward, "in_parts", diverging)
    run = tmp_path / "run"
    result = call(train.app, *arguments(people, run, epochs=3, accumulate=accumulate))
    steps = -(-(seen.index((2, 0)) if (2, 0) in seen else 0) // accumulate)
    assert result.exit_code == 1
    where = f"is {value} at step {3 // accumulate + 1} of {steps} in epoch 2"
    assert where in result.stderr
    assert seen[-1] == (2, 3), "it stops at once"
    status = RunFolder(run).status()
    assert (status["state"], status["best_epoch"], status["epochs"]) == ("failed", 1, 1)
    assert where in status["reason"]
    from safetensors.torch import load_file

    assert all(tensor.isfinite().all() for tensor in load_file(run / "weights.safetensors").values())


KILL = """
import multiprocessing, os, pathlib, signal, sys
import torch
from common.errors import failure_words
from common.machine import PROJECT
from dataset.read import read_train
from tests.conftest import TINY
from tests.trial.training import training_of
from trial.config import parse
from trial.data.batches import on_device

config = parse({**TINY, "augment": [{"_name": "RandomBrightnessContrast"}], "workers": 1, "batch_size": 2})
training = training_of(config, read_train(pathlib.Path(sys.argv[1])).table)
try:
    for number, _ in enumerate(on_device(training.train, torch.device("cpu"))):
        if not number:
            os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)
except RuntimeError as error:
    print(failure_words(error), flush=True)
os._exit(0)
"""


@pytest.mark.slow
def test_a_worker_that_is_killed_ends_the_training_with_a_reason(people):
    """In a process of its own: torch raises the error in whatever the main thread does."""
    done = forked.run("-c", KILL, people)
    assert done.stdout.startswith("a process of the loader ended, killed by the system"), done.stderr


@pytest.mark.parametrize(
    "error", [ConnectionResetError(104, "Connection reset by peer"), EOFError("no more")]
)
def test_a_worker_that_is_killed_while_it_hands_over_a_batch_is_told_as_one(error):
    def broken():
        yield "a batch"
        raise error

    received = on_device(broken(), torch.device("cpu"))
    assert next(received) == "a batch"
    with pytest.raises(RuntimeError) as raised:
        next(received)
    words = failure_words(raised.value)
    assert words.startswith("a process of the loader ended, killed by the system") and str(error) in words
