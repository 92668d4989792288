#!/bin/sh
# timm 1.0.31 and torchvision 0.29.1 read different classes from the same folders. Guessed: timm's create_dataset
# (which its train.py uses) and torchvision's ImageFolder, both for folders of classes, give a photo the same number,
# so that a network that was trained with one of them can be measured with the other; create_dataset itself has
# "torch/folder", too. Seen, in two ways. timm sorts names as people do (0, 1, 2, ..., 17), torchvision as texts (0,
# 1, 10, 11, ..., 9): of 18 folders "0" to "17" all but two get another number, and a classifier that is right for
# every photo by the one is right for .11 of them by the other. And of folders in folders timm takes the innermost
# names, torchvision the outermost: of mask/old, mask/young, none/old and none/young timm learns "old" and "young",
# torchvision "mask" and "none". The numbers of classes agree, so nothing fails; the score is only that of a bad
# network, and a submission that is numbered by the other one is wrong without any score. create_dataset's
# documentation says nothing of order or nesting. Way round: class_map=ImageFolder(...).class_to_idx for the order,
# and folders that are not nested.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q --no-compile --disable-pip-version-check \
  timm==1.0.31 torchvision==0.29.1 torch==2.14.1 numpy==2.4.6 pillow==13.0.0
cd "$folder"
"$folder/venv/bin/python" - <<'CODE'
from pathlib import Path

import numpy as np
import timm
import torchvision
from PIL import Image
from timm.data import create_dataset
from torchvision.datasets import ImageFolder

print("timm", timm.__version__, "torchvision", torchvision.__version__)
drawn = np.random.default_rng(0)


def drawn_folders(root, names):
    """Eight photos for each name, of a colour that tells it."""
    for name in names:
        (Path(root) / name).mkdir(parents=True)
        colour = drawn.integers(30, 226, 3)
        for number in range(8):
            photo = (colour + drawn.integers(-9, 10, (8, 8, 3))).astype(np.uint8)
            Image.fromarray(photo).save(Path(root) / name / f"{number}.png")


def read(dataset):
    """(photos, 3) mean colours and (photos,) numbers of classes."""
    return np.array([np.asarray(photo).mean((0, 1)) for photo, _ in dataset]), np.array([y for _, y in dataset])


def accuracy(train, test):
    """Of a nearest-mean classifier, trained on one and measured on the other reading of the same photos."""
    (colours, classes), (others, theirs) = read(train), read(test)
    means = np.array([colours[classes == number].mean(0) for number in range(classes.max() + 1)])
    return float((np.linalg.norm(others[:, None] - means, axis=2).argmin(1) == theirs).mean())


drawn_folders("numbered", map(str, range(18)))
timms, torchs = create_dataset("", "numbered"), ImageFolder("numbered")
print("timm       ", list(timms.reader.class_to_idx))
print("torchvision", torchs.classes)
same, other = accuracy(timms, timms), accuracy(timms, torchs)
within = accuracy(timms, create_dataset("torch/folder", "numbered"))
mapped = accuracy(create_dataset("", "numbered", class_map=torchs.class_to_idx), torchs)
print(f'accuracy of a classifier trained by timm: by timm {same:.2f}, by torchvision {other:.2f}, by timm\'s '
      f'"torch/folder" {within:.2f}; trained with class_map {mapped:.2f}')  # fmt: skip
assert list(timms.reader.class_to_idx) == [str(number) for number in range(18)]
assert torchs.classes == sorted(torchs.classes) and same == mapped > 0.9
assert within == other < 0.2, "both number the classes alike now"

drawn_folders("nested", ("mask/old", "mask/young", "none/old", "none/young"))
timms, torchs = create_dataset("", "nested"), ImageFolder("nested")
print("nested: timm", timms.reader.class_to_idx, "torchvision", torchs.class_to_idx)
assert list(timms.reader.class_to_idx) == ["old", "young"] and torchs.classes == ["mask", "none"]
CODE
