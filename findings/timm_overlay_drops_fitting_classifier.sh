#!/usr/bin/env bash
# timm 1.0.31: a fine-tuned file given by pretrained_cfg_overlay={"file": ...} loses its classifier, though it fits.
# Guessed: create_model("resnet18", num_classes=18, pretrained=True, pretrained_cfg_overlay={"file": FILE}) loads
# all of an 18-class file, or says what it leaves out.
# Seen: the classifier of 18 classes is left as drawn, without a warning: num_classes is compared with that of the
# network's own ImageNet weights (1,000), not with the file's tensors. All other tensors are loaded.
# Way round: "num_classes": 18 in the overlay as well, or checkpoint_path=FILE instead.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check timm==1.0.31 torch==2.14.1 torchvision==0.29.1
FILE=$folder/tuned.safetensors "$folder/venv/bin/python" - <<'PY'
import os
import warnings

import timm
import torch
from safetensors.torch import save_file

file = os.environ["FILE"]
tuned = timm.create_model("resnet18", num_classes=18)
save_file(tuned.state_dict(), file)


def loaded(**more):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        network = timm.create_model("resnet18", num_classes=18, **more)
    same = [torch.equal(mine, its) for mine, its in ((network.conv1.weight, tuned.conv1.weight),
                                                     (network.fc.weight, tuned.fc.weight))]
    return (*same, len(said))


found = {
    "overlay with file": loaded(pretrained=True, pretrained_cfg_overlay={"file": file}),
    "overlay with file and num_classes": loaded(
        pretrained=True, pretrained_cfg_overlay={"file": file, "num_classes": 18}
    ),
    "checkpoint_path": loaded(checkpoint_path=file),
}
print("timm", timm.__version__)
for way, (body, head, said) in found.items():
    print(f"{way}: body loaded {body}, classifier loaded {head}, warnings {said}")
assert list(found.values()) == [(True, False, 0), (True, True, 0), (True, True, 0)], "timm does otherwise now"
PY
