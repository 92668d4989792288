import io

import pytest
import torch
from torch import nn

from tools.make_catalogue import find_optimizers
from trial.catalogue import optimizers
from trial.learning.learner import Learner
from trial.learning.optimizers import OPTIMIZERS, OURS
from trial.process.compute import Compute


def step(name: str, weight_decay: float, gradient: float) -> torch.Tensor:
    """A weight of ones after a step."""
    network = torch.nn.Linear(4, 4, bias=False)
    torch.nn.init.ones_(network.weight)
    optimizer = OPTIMIZERS[name]([{"params": list(network.parameters())}], 0.1, weight_decay)
    (network.weight.square() * gradient).sum().backward()
    optimizer.step()
    return network.weight.detach()


@pytest.mark.parametrize("name", OURS)
def test_ours_go_downhill(name):
    assert (step(name, 0.0, 1.0) < 1).all()


@pytest.mark.parametrize("name", OURS)
def test_weight_decay_shrinks_a_weight_without_gradient(name):
    assert (step(name, 0.5, 0.0) < 1).all()


def test_timms_are_those_that_take_a_step_here():
    assert optimizers() == dict(find_optimizers())
    assert {"lion", "lamb", "nadamw", "adopt", "muon"} <= set(OPTIMIZERS)


@pytest.mark.parametrize(("name", "change"), [("lion", -0.1), ("rmsprop", -0.316), ("nesterov", -0.38)])
def test_timms_step_by_the_learning_rate_given(name, change):
    """Lion's first step is the sign of the gradient, RMSprop's 1 / sqrt(.1) of it, Nesterov's 1.9 of it."""
    assert step(name, 0.0, 1.0) == pytest.approx(torch.full((4, 4), 1 + change), abs=0.02)


class Steps:
    """Steps of a small network, whose first layer is frozen before step 2."""

    def __init__(self, name: str, precision: torch.dtype = torch.float32):
        torch.manual_seed(0)
        first, last = nn.Conv2d(3, 4, 3), nn.Linear(4 * 9, 5)
        self.network = nn.Sequential(first, nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), last)
        groups = [
            {"params": list(self.network[:2].parameters()), "lr_scale": 0.5, "weight_decay": 0.01},
            {"params": list(last.parameters()), "lr_scale": 1.0, "weight_decay": 0.0},
        ]
        compute = Compute(torch.device("cpu"), precision, 0)
        self.learner = Learner(self.network, OPTIMIZERS[name](groups, 1e-3, 0.01), compute, clip_norm=1.0)

    def take(self, steps: range) -> None:
        for step in steps:
            images = torch.randn(8, 3, 5, 5, generator=torch.Generator().manual_seed(step))
            self.network[0].requires_grad_(step >= 2)
            self.learner.backward(nn.functional.cross_entropy(self.network(images), torch.arange(8) % 5))
            self.learner.step(0.01 * (step + 1))


@pytest.mark.slow
def test_every_optimizer_goes_on_from_its_state():
    for name in OPTIMIZERS:
        whole, half, again = Steps(name), Steps(name), Steps(name)
        whole.take(range(6))
        half.take(range(3))
        file = io.BytesIO()
        torch.save({"network": half.network.state_dict(), "learner": half.learner.state()}, file)
        file.seek(0)
        state = torch.load(file, weights_only=True)
        again.network.load_state_dict(state["network"])
        again.learner.load(state["learner"])
        again.take(range(3, 6))
        pairs = zip(whole.network.state_dict().values(), again.network.state_dict().values(), strict=True)
        assert all(torch.equal(one, other) for one, other in pairs), name
        assert not torch.equal(half.network[4].weight, again.network[4].weight), name


def test_the_loss_scaling_of_float16_goes_on():
    whole, again = Steps("sgd", torch.float16), Steps("sgd", torch.float16)
    whole.learner.scaler.set_growth_interval(2)
    whole.take(range(5))
    state = whole.learner.state()
    assert state["scaler"]["scale"] > again.learner.scaler.get_scale()
    again.learner.load(state)
    assert again.learner.scaler.state_dict() == state["scaler"]
