#!/bin/sh
# timm 1.0.31: create_transform(..., re_prob=1, normalize=False) drops random erasing without a word. Documented:
# "normalize: Normalization tensor output w/ provided mean/std" and "re_prob: Random erasing probability". Guessed:
# the same steps, less the normalization. Seen: the photos come as bytes and none is erased, at any re_prob, re_mode
# and re_count, so who normalizes in the network or on the GPU trains without it, and a search over re_prob compares
# equal recipes. The loader doesn't mend it: only PrefetchLoader (use_prefetcher=True) erases by itself. All other
# steps (crop, flip, colours, RandAugment) are kept. Way round: timm.data.random_erasing.RandomErasing after the
# normalization.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q --no-compile --disable-pip-version-check timm==1.0.31 torch==2.14.1
"$folder/venv/bin/python" - <<'CODE'
import timm
import torch
from PIL import Image
from timm.data import create_transform

print("timm", timm.__version__)
grey = Image.new("RGB", (80, 80), (90, 90, 90))  # cropped, flipped and resized, it stays of one colour
steps, erased = {}, {}
for normalize in (True, False):
    for auto in (None, "rand-m5-n1"):
        transform = create_transform((3, 64, 64), is_training=True, color_jitter=0.0, auto_augment=auto, re_prob=1.0,
                                     re_mode="pixel", re_count=3, normalize=normalize)
        steps[normalize, auto] = [type(step).__name__ for step in transform.transforms]
    transform = create_transform((3, 64, 64), is_training=True, color_jitter=0.0, re_prob=1.0, re_mode="pixel",
                                 normalize=normalize)
    torch.manual_seed(0)
    photos = [transform(grey) for _ in range(100)]
    erased[normalize] = sum(bool((photo != photo[:, :1, :1]).any()) for photo in photos)
    print(f"normalize={normalize}: {steps[normalize, None]}; {photos[0].dtype}; {erased[normalize]} of 100 erased")
    print(f"  with RandAugment: {steps[normalize, 'rand-m5-n1']}")
assert erased == {True: 100, False: 0}
for auto in (None, "rand-m5-n1"):
    assert "RandomErasing" in steps[True, auto] and "RandomErasing" not in steps[False, auto]
    assert steps[True, auto][:-3] == steps[False, auto][:-1], "the other steps are the same"
CODE
