import pytest
import torch

from tools.make_catalogue import find_optimizers
from trial.catalogue import optimizers
from trial.learning.optimizers import OPTIMIZERS, OURS


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
