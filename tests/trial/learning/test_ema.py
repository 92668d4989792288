import numpy as np
import pytest
import torch
from torch import nn

from trial.learning.ema import Average, decay_at


def test_a_tensor_that_layers_share_is_averaged_once_a_step():
    """timm's coat_* share: its state_dict names one tensor several times."""
    network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Linear(2, 2))
    network[2].weight = network[0].weight
    average = Average(network, 0.9)
    for step in (1, 2, 3):
        with torch.no_grad():
            for tensor in (*network.parameters(), network[1].running_mean):
                tensor.fill_(step)
        average.update(network)
    expected = np.average([1, 2, 3], weights=[0.81, 0.9, 1])
    for tensor in (*average.network.parameters(), average.network[1].running_mean):
        assert torch.allclose(tensor, torch.tensor(expected).float())
    assert average.network[2].weight is average.network[0].weight


@pytest.mark.parametrize("ema", [0.5, 0.998, 0.9999])
def test_averaged_weights_are_the_mean_that_ema_says_from_the_first_step_on(ema):
    """timm's warm-up of the decay would reach 0.998 after 11,000 steps."""
    steps = np.random.default_rng(0).normal(size=2000)
    mean = 5.0  # of before the first step: it has no part
    for step, now in enumerate(steps, start=1):
        mean = mean * decay_at(step, ema) + now * (1 - decay_at(step, ema))
    assert mean == pytest.approx(np.average(steps, weights=ema ** np.arange(1999, -1, -1)))
    assert decay_at(int(10 / (1 - ema)), ema) == pytest.approx(ema, rel=1e-4)
