#!/bin/sh
# timm 1.0.31: timm.layers.convert_sync_batchnorm, called on a network that it has converted before, silently changes what
# the network computes: each SyncBatchNormAct (a normalisation with its activation, as most of timm's convolutional
# networks have) becomes torch's SyncBatchNorm, and the activation is gone. The types change again, no error is raised, and
# the state dict has the same names. torch's own convert_sync_batchnorm may be called as often as one likes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q --disable-pip-version-check timm==1.0.31
"$folder/venv/bin/python" - <<'CODE'
from collections import Counter

import timm
import torch
from timm.layers import convert_sync_batchnorm


def layers(network):
    return dict(Counter(type(m).__name__ for m in network.modules() if "Norm" in type(m).__name__))


torch.manual_seed(0)
network = timm.create_model("test_efficientnet").eval()
photos = torch.rand(1, 3, 160, 160)
print("timm", timm.__version__, "before", layers(network))
before = network(photos).detach()
once = convert_sync_batchnorm(network).eval()
print("once", layers(once))
assert torch.equal(once(photos), before)
names = list(once.state_dict())
twice = convert_sync_batchnorm(once).eval()
difference = float((twice(photos).detach() - before).abs().max() / before.abs().max())
print("twice", layers(twice), f"largest difference of the outputs, relative: {difference:.0f}")
assert set(layers(twice)) == {"SyncBatchNorm"} and list(twice.state_dict()) == names
assert difference > 0.1
CODE
