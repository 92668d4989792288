"""Averaged weights: the exponential moving average (EMA) of a network's weights over the steps."""

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


class Average:
    """`network` holds the EMA of another network's state dict over its steps, bias-corrected.

    A tensor that several layers share is averaged once a step. Integers (counters) are the last step's.
    """

    def __init__(self, network: nn.Module, decay: float):
        self.network, self.decay, self.steps = copy.deepcopy(network), decay, 0

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Add the weights of `network` after one more step."""
        self.steps += 1
        states = zip(self.network.state_dict().values(), network.state_dict().values(), strict=True)
        pairs = {(mean.data_ptr(), mean.shape): (mean, now) for mean, now in states}.values()
        means, latest = zip(*(pair for pair in pairs if pair[0].is_floating_point()), strict=True)
        get_ema_multi_avg_fn(decay_at(self.steps, self.decay))(list(means), list(latest), self.steps)
        for mean, now in pairs:
            if not mean.is_floating_point():
                mean.copy_(now)

    def state(self) -> dict[str, Any]:
        """What `load` takes."""
        return {"network": self.network.state_dict(), "steps": self.steps}

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from the `state` of an earlier part of the training."""
        self.network.load_state_dict(state["network"])
        self.steps = state["steps"]


def decay_at(step: int, decay: float) -> float:
    """The fraction of the averaged weights that step number `step` (from 1) keeps.

    With it the average is the mean of the weights after all steps so far, in which those of n steps ago count
    by `decay` to the power n. The weights before the first step do not count: Adam's bias correction (Kingma
    and Ba 2015, arXiv:1412.6980).
    """
    return decay * (1 - decay ** (step - 1)) / (1 - decay**step)
