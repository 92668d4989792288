"""Optimizers by name: torch's own, fused, and all others of timm's that need no other package."""

from collections.abc import Callable, Iterable
from typing import Annotated, Any

from trial.catalogue import optimizers
from trial.choice import Registry


def adam(parameters: Iterable[Any], learning_rate: float, weight_decay: float) -> Any:
    """Adam (Kingma and Ba 2015); weight decay is an L2 term of the gradient."""
    import torch

    return torch.optim.Adam(parameters, lr=learning_rate, weight_decay=weight_decay, fused=True)


def adamw(parameters: Iterable[Any], learning_rate: float, weight_decay: float) -> Any:
    """AdamW (Loshchilov and Hutter 2019): Adam with decoupled weight decay."""
    import torch

    return torch.optim.AdamW(parameters, lr=learning_rate, weight_decay=weight_decay, fused=True)


def sgd(
    parameters: Iterable[Any],
    learning_rate: float,
    weight_decay: float,
    *,
    momentum: Annotated[float, (0, 1)] = 0.9,
    nesterov: bool = True,
) -> Any:
    """Stochastic gradient descent with (Nesterov) momentum."""
    import torch

    optimizer = torch.optim.SGD(
        parameters,
        lr=learning_rate,
        weight_decay=weight_decay,
        momentum=momentum,
        nesterov=nesterov and momentum > 0,
        fused=True,
    )
    # torch's fused SGD can't create momentum buffers for some parameters later, as gradual unfreezing needs.
    for group in optimizer.param_groups if momentum else ():
        for parameter in group["params"]:
            optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return optimizer


def from_timm(name: str, description: str) -> Callable[..., Any]:
    """The builder of timm's optimizer `name`."""

    def build(parameters: Iterable[Any], learning_rate: float, weight_decay: float) -> Any:
        from timm.optim import create_optimizer_v2

        # Many refuse a rate of 0 here, which each step sets (Learner.step).
        return create_optimizer_v2(parameters, name, lr=learning_rate or 1e-9, weight_decay=weight_decay)

    build.__doc__ = f"{description}."
    return build


OURS: Registry = {"adam": adam, "adamw": adamw, "sgd": sgd}
OPTIMIZERS: Registry = {
    **OURS,
    **{name: from_timm(name, text) for name, text in optimizers().items() if name not in OURS},
}
