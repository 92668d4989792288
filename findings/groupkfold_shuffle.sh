#!/bin/sh
# scikit-learn 1.9.1: GroupKFold(shuffle=True) gives up the balance of its folds. Its documentation says that "the
# number of samples is approximately the same in each test fold when `shuffle` is True"; it is the other way round.
# Without shuffling, the largest group goes to the smallest fold; with it, each fold gets the same number of *groups*
# in random order, whatever their size. 200 persons of 2 to 60 photos: folds of 1.00 times each other's size become
# folds of up to twice, so scores of folds (and of seeds) differ in how much they trained on.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q --disable-pip-version-check scikit-learn==1.9.1 numpy==2.4.6
"$folder/venv/bin/python" - <<'CODE'
import numpy as np
import sklearn
from sklearn.model_selection import GroupKFold

print("scikit-learn", sklearn.__version__)
doc = " ".join(GroupKFold.__doc__.split())
start = doc.find("The folds are approximately balanced")
print("documented:", doc[start : doc.find(" is True.", start) + 9])

photos = np.clip(np.random.default_rng(0).lognormal(1.5, 1, 200).astype(int) + 1, 2, 60)
person = np.repeat(np.arange(200), photos)


def folds(**how):
    parts = [test for _, test in GroupKFold(5, **how).split(person, groups=person)]
    return [len(part) for part in parts], [len(np.unique(person[part])) for part in parts]


sizes, persons = folds()
print(f"shuffle=False           photos a fold {sizes}  persons {persons}")
plain = max(sizes) / min(sizes)
ratios = []
for seed in range(20):
    sizes, persons = folds(shuffle=True, random_state=seed)
    ratios.append(max(sizes) / min(sizes))
    if seed < 3:
        print(f"shuffle=True, seed {seed}    photos a fold {sizes}  persons {persons}")
    assert persons == [40] * 5, "the same number of groups in each fold"
print(f"largest / smallest fold: {plain:.2f} without; with, over 20 seeds: median {np.median(ratios):.2f}, max {max(ratios):.2f}")
assert plain < 1.02 and np.median(ratios) > 1.2 and max(ratios) > 1.5
CODE
