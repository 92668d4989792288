#!/bin/sh
# scikit-learn 1.9.1: LinearDiscriminantAnalysis(shrinkage="auto") and a number for `shrinkage` shrink towards different
# matrices. "auto" standardizes the features first, so it shrinks towards their variances, and nothing depends on units.
# A number shrinks towards the mean variance times the identity: give one feature another unit (metres as millimetres),
# and the same number, even a small one, makes the classifier useless, without a word. So the number that "auto" would
# have found can't be taken over as a fixed one, and a grid of numbers beside "auto" compares two methods. The
# documentation calls the one "automatic shrinkage using the Ledoit-Wolf lemma", the other "fixed shrinkage parameter".
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q --disable-pip-version-check scikit-learn==1.9.1 numpy==2.4.6
"$folder/venv/bin/python" - <<'CODE'
import numpy as np
import sklearn
from sklearn.datasets import make_classification
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

print("scikit-learn", sklearn.__version__)
X, y = make_classification(4000, n_features=20, n_informative=5, n_redundant=10, n_classes=3, random_state=0)
units = np.ones(20)
units[np.abs(np.corrcoef(X.T, y)[-1, :-1]).argmin()] = 1000  # of the feature that says least of the classes


def accuracy(shrinkage, units):
    model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage).fit(X[:2000] * units, y[:2000])
    return model.score(X[2000:] * units, y[2000:])


found = {}
for shrinkage in ("auto", 0.01, 0.1, 0.3):
    found[shrinkage] = accuracy(shrinkage, 1), accuracy(shrinkage, units)
    print(f"shrinkage {shrinkage!s:5} accuracy {found[shrinkage][0]:.3f}; one feature x 1000: {found[shrinkage][1]:.3f}")
assert found["auto"][0] == found["auto"][1], "units do not matter"
assert all(before - after > 0.1 for before, after in (found[0.1], found[0.3])), "they do"
CODE
