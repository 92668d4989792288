#!/bin/sh
# scikit-learn 1.9.1: permutation_test_score(groups=person, cv=GroupKFold()) gives p = 1 to a model that reads the
# classes well, if a person's photos all have one class. `groups` does two things there: the splitter keeps persons
# apart, and labels are permuted only *within* a person, where nothing changes: all 99 "permuted" scores are the score.
# Everywhere else (cross_val_score, GridSearchCV) the same argument is for the splitter alone. With the splits made
# before and handed over as cv=list(...), the same model has p = .01.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q --disable-pip-version-check scikit-learn==1.9.1 numpy==2.4.6
"$folder/venv/bin/python" - <<'CODE'
import numpy as np
import sklearn
from sklearn.model_selection import GroupKFold, cross_val_score, permutation_test_score
from sklearn.naive_bayes import GaussianNB

print("scikit-learn", sklearn.__version__)
draw = np.random.default_rng(0)
person = np.repeat(np.arange(60), 7)
age_band = (np.arange(60) % 3)[person]  # one class a person
features = draw.normal(size=(len(person), 5))
features[:, 0] += 3 * age_band
how = {"scoring": "f1_macro"}

scores = cross_val_score(GaussianNB(), features, age_band, groups=person, cv=GroupKFold(5), **how)
print(f"cross_val_score(groups=person, cv=GroupKFold(5)): macro-F1 {scores.mean():.3f} (chance .33)")
how |= {"n_permutations": 99, "random_state": 0}
score, permuted, p = permutation_test_score(
    GaussianNB(), features, age_band, groups=person, cv=GroupKFold(5), **how
)
print(f"permutation_test_score(groups=person, cv=GroupKFold(5)): {score:.3f}, permuted {permuted.min():.3f} to {permuted.max():.3f}, p = {p:.2f}")
splits = list(GroupKFold(5).split(features, age_band, person))
_, others, p_splits = permutation_test_score(GaussianNB(), features, age_band, cv=splits, **how)
print(f"permutation_test_score(cv=the same splits): {score:.3f}, permuted {others.min():.3f} to {others.max():.3f}, p = {p_splits:.2f}")
assert score > 0.8 and p == 1 and np.allclose(permuted, score)
assert p_splits == 0.01
CODE
