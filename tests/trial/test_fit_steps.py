"""What a step of training does to the weights: gathered gradients, clipped ones, averaged weights."""

import numpy as np
import pytest
import torch
from torch import nn

from dataset.face_masks.labels import FACE_MASK
from dataset.read import read_train
from tests.conftest import TINY
from tests.trial.training import held_out, training_of
from trial import recipe
from trial.config import parse
from trial.data import batches
from trial.fit import fit

PLAIN = {"optimizer": {"_name": "sgd", "momentum": 0}, "schedule": "constant", "learning_rate": 0.1}


@pytest.fixture(scope="module")
def table(people):
    return read_train(people).table.head(64)


def linear() -> nn.Module:
    """A network without batch normalisation: photos don't see each other."""
    torch.manual_seed(0)
    return nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(48, 18))


def epochs_of(table, network, **values):
    training = training_of(parse({**TINY, **PLAIN, "precision": "float32", **values}), table, network)
    return list(fit(training, held_out(training, table)))


def weights(network) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in network.parameters()])


def test_gathered_gradients_are_those_of_one_large_batch(table):
    whole, gathered, small = linear(), linear(), linear()
    epochs_of(table, whole, batch_size=64)
    epochs_of(table, gathered, batch_size=16, accumulate=4)
    epochs_of(table, small, batch_size=16)
    assert torch.allclose(weights(whole), weights(gathered), atol=1e-6)
    assert not torch.allclose(weights(whole), weights(small), atol=1e-4)


def test_an_epochs_last_step_gathers_what_is_left(table):
    """64 photos in batches of 24, 24 and 16, two a step: the second step has the last one alone."""
    trained, by_hand = linear(), linear()
    epochs_of(table, trained, batch_size=24, accumulate=2, epochs=1)
    config = parse({**TINY, **PLAIN, "precision": "float32", "batch_size": 24})
    training = training_of(config, table, by_hand)
    preprocessing = training.forward.preprocessing
    first, second, last = training.train
    for step in ((first, second), (last,)):
        losses = [
            nn.functional.cross_entropy(by_hand(preprocessing.normalise(batch.photos)), batch.labels)
            for batch in step
        ]
        by_hand.zero_grad()
        torch.stack(losses).mean().backward()
        with torch.no_grad():
            for parameter in by_hand.parameters():
                parameter -= 0.1 * parameter.grad
    assert torch.allclose(weights(trained), weights(by_hand), atol=1e-6)


def test_a_clipped_step_is_no_longer_than_the_norm_allows(table):
    before = weights(linear())
    free, clipped = linear(), linear()
    epochs_of(table, free, batch_size=64, epochs=1)
    epochs_of(table, clipped, batch_size=64, epochs=1, clip_norm=0.05)
    assert (weights(free) - before).norm() > 0.1 * 0.06
    assert (weights(clipped) - before).norm() == pytest.approx(0.1 * 0.05, rel=1e-3)


def test_averaged_weights_are_what_is_validated_and_kept(table):
    network = linear()
    seen = []

    class Watch(nn.Module):
        """Keeps the weights after each step, as the next one sees them."""

        def __init__(self):
            super().__init__()
            self.inner = network

        def forward(self, images):
            if self.training:
                seen.append(weights(self.inner))
            return self.inner(images)

    watched = Watch()
    epochs = epochs_of(table, watched, batch_size=16, epochs=4, ema=0.8)
    seen = [*seen[1:], weights(network)]
    counted = np.array([0.8**ago for ago in reversed(range(len(seen)))])
    expected = (torch.stack(seen) * torch.tensor(counted / counted.sum())[:, None]).sum(0).float()
    kept = epochs[-1].network
    assert kept is not watched
    assert torch.allclose(weights(kept), expected, atol=1e-6)
    assert not torch.allclose(weights(kept), weights(network), atol=1e-3)
    logits = kept(recipe.build(parse(TINY), FACE_MASK)[1].normalise(_photos(table)))
    assert np.allclose(logits.softmax(1).detach().numpy(), epochs[-1].probabilities, atol=1e-4)


@pytest.fixture
def resnet():
    torch.manual_seed(0)
    return recipe.build(parse(TINY), FACE_MASK)[0]


def moved(network, before) -> dict[str, bool]:
    return {name: not torch.equal(p, before[name]) for name, p in network.named_parameters()}


def state(network) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in network.named_parameters()}


@pytest.mark.parametrize("optimizer", ["adamw", {"_name": "sgd", "momentum": 0.9}])
def test_a_frozen_backbone_learns_once_its_epochs_are_over(table, resnet, optimizer):
    config = {"optimizer": optimizer, "weight_decay": 0.1, "freeze": {"_name": "backbone", "epochs": 2}}
    before, seen = state(resnet), []

    config = parse({**TINY, **PLAIN, **config, "epochs": 3})
    for _ in fit(training_of(config, table, resnet)):
        seen.append(moved(resnet, before))
    for frozen in seen[:2]:
        assert [name for name, changed in frozen.items() if changed] == ["fc.weight", "fc.bias"]
    assert all(seen[2].values())


def test_layers_further_from_the_head_learn_more_slowly(table, resnet):
    before = state(resnet)
    values = {"optimizer": "adam", "layer_decay": 0.1, "learning_rate": 0.01, "epochs": 1, "batch_size": 64}
    epochs_of(table, resnet, **values)  # one step of Adam: each weight moves by its learning rate
    moves = {name: float((p.detach() - before[name]).abs().max()) for name, p in resnet.named_parameters()}
    assert moves["fc.weight"] == pytest.approx(0.01, rel=0.01)
    assert moves["conv1.0.weight"] < 0.01 * 0.1**2


def test_plateau_gets_the_validation_loss(table):
    """With a learning rate so high the loss jumps about, and the rate falls whenever it has no new best."""
    schedule = {"_name": "plateau", "factor": 0.5, "patience": 0}
    epochs = epochs_of(table, linear(), schedule=schedule, learning_rate=100.0, epochs=6, batch_size=32)
    least, rate, expected = np.inf, 100.0, []
    for epoch in epochs:
        expected.append(rate)
        rate = rate if epoch.validation_loss < least else rate * 0.5
        least = min(least, epoch.validation_loss)
    assert [epoch.learning_rate for epoch in epochs] == pytest.approx(expected)
    assert expected[-1] < 100.0


def _photos(table) -> torch.Tensor:
    preprocessing = recipe.build(parse(TINY), FACE_MASK)[1]
    return next(iter(batches.loader(batches.Photos(table, preprocessing), 64))).photos
