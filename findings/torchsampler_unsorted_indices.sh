#!/bin/sh
# torchsampler 0.1.2: ImbalancedDatasetSampler(dataset, labels=..., indices=...) draws the wrong photos unless `indices`
# is sorted. Guessed: with the indices of a training split, and their labels in the same order, each class is drawn as
# often as any other. Seen: the labels are sorted by index before they become weights, the indices that the weights
# choose from are not, so each photo is drawn with the weight of another one. train_test_split, ShuffleSplit and
# random_split all give shuffled indices. With these the classes are drawn as often as they occur, and the high weights
# of the rare class go to a few photos of any class, which are drawn again and again. Nothing is said, and lengths,
# types and the sum of the weights are right. In scikit-learn's digits, with five classes of 4 photos and five of about
# 100, the rare classes are 5 % of what is drawn instead of 50 %, and the macro-F1 is .48 instead of .88: lower than the
# .58 without any sampler. Way round: sort the indices, and the labels with them; or torch's WeightedRandomSampler on a
# Subset.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q --no-compile --disable-pip-version-check \
  torchsampler==0.1.2 torch==2.14.1 torchvision==0.29.1 pandas==3.1.1 numpy==2.4.6 scikit-learn==1.9.1
"$folder/venv/bin/python" - <<'CODE'
from importlib.metadata import version

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.metrics import f1_score
from sklearn.model_selection import train_test_split
from torch.utils.data import DataLoader, SubsetRandomSampler, TensorDataset
from torchsampler import ImbalancedDatasetSampler

torch.set_num_threads(1)
print("torchsampler", version("torchsampler"))
pixels, digits = load_digits(return_X_y=True)
drawn = np.random.default_rng(0)
left = np.flatnonzero(digits < 5).tolist()
left += [photo for digit in range(5, 10) for photo in drawn.choice(np.flatnonzero(digits == digit), 44, False)]
# The five rare classes keep 4 of their 44 photos for training, the others are scored.
train, test = train_test_split(np.array(left), test_size=0.45, stratify=digits[left], random_state=0)
train = np.concatenate([train[digits[train] < 5], *(train[digits[train] == digit][:4] for digit in range(5, 10))])
train = drawn.permutation(train)
photos = TensorDataset(torch.tensor(pixels / 16).float(), torch.tensor(digits))


def trained(sampler):
    """Fraction of rare classes among the photos drawn in eight epochs, and macro-F1 on the photos left out."""
    network = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    labels = []
    for _ in range(8):
        for batch, wanted in DataLoader(photos, batch_size=32, sampler=sampler):
            labels += wanted.tolist()
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(network(batch), wanted).backward()
            optimizer.step()
    predicted = network(photos.tensors[0][test]).argmax(1)
    return np.mean(np.array(labels) >= 5), f1_score(digits[test], predicted, average="macro")


ways = {
    "indices as split": lambda: ImbalancedDatasetSampler(photos, labels=digits[train], indices=train.tolist()),
    "the same, sorted": lambda: ImbalancedDatasetSampler(
        photos, labels=digits[np.sort(train)], indices=np.sort(train).tolist()
    ),
    "no balance": lambda: SubsetRandomSampler(train.tolist()),
}
found = {}
for name, sampler in ways.items():
    runs = []
    for seed in range(6):
        torch.manual_seed(seed)
        runs.append(trained(sampler()))
    found[name] = np.mean(runs, axis=0)
    print(f"{name}: {found[name][0]:.1%} of the photos drawn are of rare classes, macro-F1 {found[name][1]:.3f}")
rare = {name: share for name, (share, _) in found.items()}
score = {name: macro_f1 for name, (_, macro_f1) in found.items()}
assert rare["the same, sorted"] > 0.45 and rare["indices as split"] < 0.1, "unsorted indices are balanced now"
assert score["indices as split"] < score["no balance"] < score["the same, sorted"] - 0.2
CODE
