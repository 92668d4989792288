#!/bin/sh
# timm 1.0.31: pretrained_cfg's fixed_input_size=False does not say that a network takes photos of any size. Of the networks
# without a fixed size, 84 raise an error in the forward pass unless both sides are multiples of a number that no
# field of the configuration holds: 32 for dla*, hrnet_* and lambda_resnet26t, 8 for csatv2, the patch for naflexvit_*.
# Nothing else in it, min_input_size included, tells these from resnet18, which takes any size.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q --disable-pip-version-check timm==1.0.31
"$folder/venv/bin/python" - <<'CODE'
import timm
import torch

wanted = {
    "resnet18": 1,
    "csatv2": 8,
    "naflexvit_base_patch16_gap": 16,
    "dla34": 32,
    "hrnet_w18_small": 32,
    "lambda_resnet26t": 32,
}


def runs(network, side):
    try:
        return network(torch.empty(1, 3, side, side + side)).shape[0] == 1
    except Exception:  # each family has an error of its own
        return False


print("timm", timm.__version__)
for name, multiple in wanted.items():
    config = timm.get_pretrained_cfg(name)
    assert not config.fixed_input_size
    with torch.device("meta"):
        network = timm.create_model(name).eval()
        takes = {step: runs(network, 224 + step) for step in (0, 1, 4, 8, 16, 32)}
    print(name, {f"{224 + step} x {448 + 2 * step}": ok for step, ok in takes.items()})
    assert all(takes[step] == (step % multiple == 0) for step in takes), name
CODE
