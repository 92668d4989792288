#!/bin/sh
# timm 1.0.31: a network that one registers oneself, with a pretrained_cfg of its own (mean, std, interpolation, licence,
# weights), and that calls another of timm's entry points to be built, silently gets the other one's pretrained_cfg:
# create_model gives the name only to the outer function, and the inner one looks its own name up. get_pretrained_cfg says
# one thing, the network's pretrained_cfg and resolve_data_config another, so photos are normalised with the other's
# mean (.5, of mobilenetv1_100) instead of the one that was registered. pretrained_cfg_overlay does reach the network.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q --disable-pip-version-check timm==1.0.31
"$folder/venv/bin/python" - <<'CODE'
import timm
from timm.models import generate_default_cfgs, register_model

OWN = (0.4, 0.5, 0.6)
default_cfgs = generate_default_cfgs({"mine.faces": {"mean": OWN, "std": (1, 1, 1), "license": "mit", "file": "x.pth"}})


@register_model
def mine(pretrained=False, **kwargs):
    return timm.models.mobilenetv1_100(pretrained, pad_type="same", **kwargs)


print("timm", timm.__version__)
registered = timm.models.get_pretrained_cfg("mine").mean
network = timm.create_model("mine")
used = timm.data.resolve_data_config(model=network)["mean"]
overlaid = timm.create_model("mine", pretrained_cfg_overlay={"mean": OWN}).pretrained_cfg["mean"]
print(f"registered mean {registered}; of the network {network.pretrained_cfg['mean']} "
      f"({network.pretrained_cfg['architecture']}); used for photos {used}; with an overlay {overlaid}")
assert registered == OWN == overlaid
assert used == tuple(network.pretrained_cfg["mean"]) == (0.5, 0.5, 0.5), "those of mobilenetv1_100"
CODE
