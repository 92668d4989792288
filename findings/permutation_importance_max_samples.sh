#!/bin/sh
# scikit-learn 1.9.1: permutation_importance(max_samples=...) compares scores of different rows: the score before is of
# all rows, those after the shuffling are of a sample of them. So each importance holds the difference between the two
# sets of rows: a column that is constant, whose shuffling changes nothing, gets .03 or -.03 of macro-F1 (or any score).
# The sample is drawn once, for all repeats and all columns (documented: "in each repeat"), so importances_std doesn't
# show it (it is 0.000 for the constant column), more repeats don't mend it, and all columns are too high together, or
# too low. The usual rule for what counts, mean - 2 * std > 0, takes the constant column in for 12 of 20 seeds.
# Guessed: the score before is of the same rows, and std holds what the sampling adds. With the rows sampled before the
# call the constant column gets exactly 0.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q --disable-pip-version-check scikit-learn==1.9.1 numpy==2.4.6
"$folder/venv/bin/python" - <<'CODE'
import numpy as np
import sklearn
from sklearn.datasets import make_classification
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

print("scikit-learn", sklearn.__version__)
X, y = make_classification(
    8000, n_features=6, n_informative=3, n_redundant=0, n_clusters_per_class=1, flip_y=0.3, shuffle=False,
    random_state=0,
)
X[:, 5] = 1  # the last column is constant; the two before it are noise
train, test, train_y, test_y = train_test_split(X, y, test_size=0.5, random_state=0)
model = LogisticRegression().fit(train, train_y)


def importance(rows, labels, **how):
    return permutation_importance(model, rows, labels, scoring="f1_macro", **how)


def line(name, found):
    columns = zip(found.importances_mean, found.importances_std, strict=True)
    print(f"{name:28}", "  ".join(f"{mean:6.3f} ± {std:.3f}" for mean, std in columns))


line("all 4,000 rows", importance(test, test_y, n_repeats=30, random_state=0))
constant, strongest, spread, taken = [], [], [], 0
for seed in range(20):
    found = importance(test, test_y, n_repeats=30, max_samples=400, random_state=seed)
    if seed < 5:
        line(f"max_samples=400, seed {seed}", found)
    some = np.random.default_rng(seed).choice(len(test), 400, replace=False)
    before = importance(test[some], test_y[some], n_repeats=30, random_state=seed)
    if seed == 0:
        line("400 rows drawn before", before)
    constant.append(found.importances_mean[5])
    strongest.append(found.importances_mean.argmax())
    taken += found.importances_mean[5] - 2 * found.importances_std[5] > 0
    spread.append(found.importances_std[5])
    assert np.all(found.importances[5] == found.importances[5, 0]) and before.importances_mean[5] == 0
more = importance(test, test_y, n_repeats=300, max_samples=400, random_state=0)
line("seed 0, 300 repeats", more)
print(f"the constant column over 20 seeds: {min(constant):.3f} to {max(constant):.3f}, spread {np.std(constant):.3f}, "
      f"reported {max(spread):.3f}; taken in {taken} times")
assert np.std(constant) > 0.01 and max(spread) < 1e-6 and 5 <= taken <= 15
assert np.isclose(more.importances_mean[5], constant[0])
assert np.all(np.array(strongest) == strongest[0]), "the order of strong columns is not touched"
CODE
