#!/bin/sh
# timm 1.0.31: MADGRAD adds its eps to the learning rate, so madgrad and madgradw move weights whose group's
# learning rate is 0, by a multiple of 1e-6: a layer frozen that way, or the first step of a warm-up that begins at 0. (As
# an argument 0 is refused.) All other optimizers that need a gradient alone leave such weights as they are, to the bit.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q --disable-pip-version-check timm==1.0.31
"$folder/venv/bin/python" - <<'CODE'
import timm
import torch
from timm.optim import create_optimizer_v2, list_optimizers


def moved(name):
    """The largest change of a weight in five steps at a learning rate of 0; None if it does not run here."""
    torch.manual_seed(0)
    layer = torch.nn.Linear(8, 8)
    before = layer.weight.detach().clone()
    try:
        optimizer = create_optimizer_v2(layer, opt=name, lr=0.1, weight_decay=0.0)
        for _ in range(5):
            for group in optimizer.param_groups:
                group["lr"] = 0.0  # as a schedule does
            optimizer.zero_grad()
            layer(torch.ones(4, 8)).square().sum().backward()
            optimizer.step()
    except Exception:  # second-order ones need more than a gradient, others are packages of their own
        return None
    return float((layer.weight - before).abs().max())


changes = {name: moved(name) for name in list_optimizers()}
ran = {name: change for name, change in changes.items() if change is not None}
print("timm", timm.__version__, "torch", torch.__version__)
print(len(ran), "of", len(changes), "optimizers ran; moved at lr=0:", {n: c for n, c in ran.items() if c})
assert len(ran) > 40
assert {name for name, change in ran.items() if change} == {"madgrad", "madgradw"}
CODE
