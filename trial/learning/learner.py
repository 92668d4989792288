"""From a loss to an optimizer step."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from trial.process.compute import Compute


class Learner:
    """An optimizer with gradient clipping and the loss scaling that float16 needs.

    Each of the optimizer's parameter groups has an `lr_scale` (trial/learning/param_groups.py). `clip_norm`:
    the largest norm of the gradient; 0: no clipping.
    """

    def __init__(
        self, network: nn.Module, optimizer: torch.optim.Optimizer, compute: Compute, clip_norm: float = 0.0
    ):
        self.network, self.optimizer, self.clip_norm = network, optimizer, clip_norm
        self.compute = compute
        self.scaler = torch.amp.GradScaler(compute.device.type, enabled=compute.precision is torch.float16)

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of `loss` to those since the last step."""
        # Of several ranks each has the gradient of its part, and gets their mean: the sum is wanted.
        loss = loss * self.compute.ranks.world
        with self.compute.on_own_cores():
            self.scaler.scale(loss).backward()

    def step(self, learning_rate: float) -> None:
        """Optimizer step, then zero the gradients. A group's rate is `learning_rate` times its `lr_scale`."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate * group["lr_scale"]
        if self.clip_norm:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.network.parameters(), self.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.drop()

    def drop(self) -> None:
        """Forget the gradients since the last step."""
        self.optimizer.zero_grad(set_to_none=True)

    def state(self) -> dict[str, Any]:
        """What `load` takes."""
        return {"optimizer": self.optimizer.state_dict(), "scaler": self.scaler.state_dict()}

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from the `state` of an earlier part of the training."""
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
