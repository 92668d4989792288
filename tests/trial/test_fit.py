import shutil

import numpy as np
import pytest
import torch

from dataset.face_masks.labels import FACE_MASK
from dataset.read import read_train
from tests.conftest import TINY
from tests.trial.training import held_out, training_of
from trial import recipe
from trial.config import parse
from trial.fit import _forward, fit
from trial.learning.schedules import SCHEDULES
from trial.preprocessing import Preprocessing
from trial.process.compute import Compute

CONFIG = parse(TINY)


def epochs_of(table, config=CONFIG, validation=True, network=None):
    training = training_of(config, table, network)
    photos = held_out(training, table.head(60)) if validation else None
    return list(fit(training, photos)), training.network


@pytest.fixture(scope="module")
def table(people):
    return read_train(people).table


def test_the_loss_falls_and_each_epoch_is_scored(table):
    epochs, _ = epochs_of(table, parse({**TINY, "epochs": 4}))
    assert [epoch.epoch for epoch in epochs] == [1, 2, 3, 4]
    assert epochs[-1].train_loss < epochs[0].train_loss - 0.3
    assert epochs[-1].probabilities.shape == (60, 18)
    assert np.allclose(epochs[-1].probabilities.sum(1), 1, atol=1e-5)
    row = epochs[0].row()
    assert {"accuracy", "macro_f1", "balanced_accuracy", "recall_17"} <= row.keys()
    # The recipe's loss is cross-entropy, in float32.
    assert row["negative_log_loss"] == pytest.approx(-row["validation_loss"], rel=1e-4)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_run_whatever_the_workers(table):
    steps = [{"_name": "RandomBrightnessContrast"}, "alternating_flip", "noise"]
    one, first = epochs_of(table, parse({**TINY, "augment": steps, "epochs": 2, "workers": 0}))
    two, second = epochs_of(table, parse({**TINY, "augment": steps, "epochs": 2, "workers": 2}))
    assert [epoch.train_loss for epoch in one] == [epoch.train_loss for epoch in two]
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    (other,), _ = epochs_of(table, parse({**TINY, "augment": steps, "epochs": 1, "seed": 1}))
    assert other.train_loss != one[0].train_loss


def test_the_learning_rate_follows_the_schedule_step_by_step(table):
    epochs, _ = epochs_of(table)
    steps = -(-len(table) // CONFIG.batch_size)
    schedule = SCHEDULES["onecycle"](2)
    for epoch in epochs:
        done = epoch.epoch - 1 + (steps - 0.5) / steps
        assert epoch.learning_rate == pytest.approx(CONFIG.learning_rate * schedule(done))


def test_without_validation_there_is_nothing_to_score(table):
    epochs, _ = epochs_of(table, validation=False)
    assert epochs[0].scores is None
    assert "macro_f1" not in epochs[0].row()


def test_a_loss_that_is_not_a_number_is_an_error(table):
    with pytest.raises(FloatingPointError, match="smaller learning_rate"):
        epochs_of(table, parse({**TINY, "learning_rate": 1e30, "optimizer": "sgd"}))


@pytest.mark.parametrize("lost", [float("nan"), float("inf")])
def test_predictions_that_are_not_numbers_end_the_trial_with_its_epoch(table, lost):
    """One photo's are enough: argmax would count it as class 0, and the trial as finished."""

    class Lost(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.last, self.validated = torch.nn.Linear(3, 18), 0

        def forward(self, images):
            logits = self.last(images.mean((2, 3)))
            if not self.training:
                self.validated += 1
                if self.validated == 2:
                    logits[0, 3] = lost
            return logits

    training = training_of(parse({**TINY, "epochs": 3, "batch_size": 10}), table.head(20), Lost())
    epochs = fit(training, held_out(training, table.head(20)))
    assert next(epochs).scores is not None
    with pytest.raises(FloatingPointError, match="1 of 20 validation photos are not numbers in epoch 2"):
        next(epochs)


def test_bfloat16_trains_too(table):
    epochs, network = epochs_of(table, parse({**TINY, "precision": "bfloat16"}))
    assert epochs[-1].train_loss < epochs[0].train_loss
    assert next(network.parameters()).dtype == torch.float32


@pytest.mark.slow
def test_mixed_photos_are_learnt_from(table):
    plain, _ = epochs_of(table, parse({**TINY, "epochs": 3}))
    mixed, _ = epochs_of(table, parse({**TINY, "epochs": 3, "mixing": "mixup"}))
    assert mixed[-1].train_loss < mixed[0].train_loss
    assert mixed[0].train_loss != plain[0].train_loss


@pytest.mark.parametrize(("device", "size"), [("cpu", 2), ("cuda", 8)])
def test_on_a_cpu_validation_fits_into_what_training_freed(table, device, size):
    config = parse({**TINY, "batch_size": 2})
    network, preprocessing = recipe.build(config, FACE_MASK)
    compute = Compute(torch.device(device), torch.float32, workers=0)
    start = recipe.Start(FACE_MASK, table, network, preprocessing, compute, None)
    assert recipe.validation(config, start, table).batch_sampler.batch_size == size


def test_validation_that_does_not_fit_into_memory_is_halved():
    class Small(torch.nn.Module):
        def forward(self, images):
            if len(images) > 4:
                raise torch.OutOfMemoryError("too large")
            return images.mean((2, 3))

    photos = torch.randint(0, 256, (13, 8, 6, 3), dtype=torch.uint8)
    plain = Preprocessing((8, 6), (0.0,) * 3, (1.0,) * 3, "bilinear")
    assert torch.allclose(_forward(Small(), plain, photos), photos.float().mean((1, 2)) / 255)
    with pytest.raises(torch.OutOfMemoryError):
        _forward(lambda images: Small()(images.repeat(9, 1, 1, 1)), plain, photos)


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("g++") and not shutil.which("clang++"), reason="no C++ compiler here")
def test_a_compiled_network_learns_the_same_and_keeps_its_names(table):
    """`graphs` compiles as `true` does, and has steps of its own. A network of five layers: each is compiled
    for training and for validation, which takes seconds a layer."""

    def small() -> torch.nn.Module:
        torch.manual_seed(0)
        conv, norm, linear = torch.nn.Conv2d(3, 4, 3, 4), torch.nn.BatchNorm2d(4), torch.nn.Linear(4, 18)
        pool = torch.nn.AdaptiveAvgPool2d(1)
        return torch.nn.Sequential(conv, norm, torch.nn.ReLU(), pool, torch.nn.Flatten(), linear)

    one = {**TINY, "epochs": 1, "precision": "float32"}
    (plain,), network = epochs_of(table, parse(one), network=small())
    (compiled,), same = epochs_of(table, parse({**one, "compile": "graphs"}), network=small())
    assert compiled.train_loss == pytest.approx(plain.train_loss, rel=0.02)
    assert same.state_dict().keys() == network.state_dict().keys()
