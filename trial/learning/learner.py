"""What turns a network's gradients into steps."""

import torch
from torch import Tensor, nn

from trial.compute import Compute
from trial.config import TrialConfig
from trial.learning.optimizers import OPTIMIZERS
from trial.learning.param_groups import groups


class Learner:
    """The optimiser of `config` over a network's layers, with its clipping, and the scaling that float16
    needs."""

    def __init__(self, network: nn.Module, config: TrialConfig, compute: Compute):
        self.network, self.clip_norm = network, config.clip_norm
        layers = groups(network, config.layer_decay)
        self.optimizer = config.optimizer.build(OPTIMIZERS, layers, config.learning_rate, config.weight_decay)
        self.scaler = torch.amp.GradScaler(compute.device.type, enabled=compute.precision is torch.float16)

    def backward(self, loss: Tensor) -> None:
        """Adds the gradients of `loss` to those since the last step."""
        self.scaler.scale(loss).backward()

    def step(self, learning_rate: float) -> None:
        """A step along the gradients, which are gone then; each layer's rate by its `lr_scale`."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate * group["lr_scale"]
        if self.clip_norm:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.network.parameters(), self.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
