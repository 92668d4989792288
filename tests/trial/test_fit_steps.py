"""What a step of training does to the weights: gathered gradients, clipped ones, averaged weights."""

import numpy as np
import pytest
import torch
from torch import nn

from dataset.photos import read_train
from tests.conftest import TINY
from trial import batches, models
from trial.compute import decide
from trial.config import parse
from trial.fit import fit

PLAIN = {"optimizer": {"_name": "sgd", "momentum": 0}, "schedule": "constant", "learning_rate": 0.1}


@pytest.fixture(scope="module")
def table(people):
    return read_train(people).head(64)


def linear() -> nn.Module:
    """A network without batch normalisation: photos don't see each other."""
    torch.manual_seed(0)
    return nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(48, 18))


def epochs_of(table, network, **values):
    config = parse({**TINY, **PLAIN, "precision": "float32", **values})
    preprocessing = models.build(config)[1]
    train, counts = batches.training(table, preprocessing, config, decide(config, network), None)
    held_out = batches.loader(batches.Photos(table, preprocessing), 64)
    return list(fit(network, preprocessing, config, decide(config, network), counts, train, held_out))


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
    one, other = linear(), linear()
    first = epochs_of(table, one, batch_size=24, accumulate=2, epochs=1)
    again = epochs_of(table, other, batch_size=24, accumulate=2, epochs=1)
    assert first[0].train_loss == again[0].train_loss
    before = weights(linear())
    assert 0.02 < (weights(one) - before).norm() < 1


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
    expected = seen[0]
    for step, now in enumerate(seen[1:], start=2):
        decay = min(0.8, 1 - (1 + step - 1) ** (-2 / 3)) if step > 1 else 0.0
        expected = expected * decay + now * (1 - decay)
    kept = epochs[-1].network
    assert kept is not watched
    assert torch.allclose(weights(kept), expected, atol=1e-6)
    assert not torch.allclose(weights(kept), weights(network), atol=1e-3)
    logits = kept(models.build(parse(TINY))[1].normalise(_photos(table)))
    assert np.allclose(logits.softmax(1).detach().numpy(), epochs[-1].probabilities, atol=1e-4)


def _photos(table) -> torch.Tensor:
    preprocessing = models.build(parse(TINY))[1]
    return next(iter(batches.loader(batches.Photos(table, preprocessing), 64))).photos
