#!/bin/sh
# imbalanced-learn 0.14.2: the out-of-bag score of BalancedRandomForestClassifier(bootstrap=True, oob_score=True) is
# measured on photos that its trees were trained on. Guessed: as in scikit-learn's forests, each photo is predicted by
# trees alone that did not see it, so the score is about that on new photos. Seen: replacement=True, the default since
# 0.13, draws a photo several times into a tree's balanced set, and the bootstrap then leaves out copies, not photos. A
# copy that is left out counts as out-of-bag though the tree was grown on others of the same photo; in a rare class,
# whose few photos have many copies each, that is nearly always so. No warning is given. Labels that are drawn at random
# are "predicted" with an accuracy of 1.00 out of bag, of .51 on new photos. In scikit-learn's digits with noise, five
# classes of 100 photos and five of 25, the macro-F1 is .90 out of bag, .69 on new photos; with leaves of 20 photos it
# is .65 out of bag and .69, too, on new ones, so a search by it takes the forest that learns photos by heart. With
# replacement=False it errs on the low side (.54 against .73). scikit-learn's own forest with
# class_weight="balanced_subsample" has .54 and .50. Way round: cross-validation (.72).
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q --no-compile --disable-pip-version-check \
  imbalanced-learn==0.14.2 scikit-learn==1.9.1 numpy==2.4.6 scipy==1.17.1
"$folder/venv/bin/python" - <<'CODE'
import warnings
from importlib.metadata import version

import numpy as np
from imblearn.ensemble import BalancedRandomForestClassifier
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import accuracy_score, f1_score
from sklearn.model_selection import cross_val_predict

warnings.simplefilter("error")  # a warning would be a word about it
print("imbalanced-learn", version("imbalanced-learn"))
drawn = np.random.default_rng(0)
TREES = dict(n_estimators=200, random_state=0)
BAG = TREES | dict(bootstrap=True, oob_score=True)


def scores(name, forest, data, score):
    """Out of bag, and on new photos."""
    train, labels, new, theirs = data
    forest.fit(train, labels)
    out_of_bag = score(labels, forest.classes_[forest.oob_decision_function_.argmax(axis=1)])
    on_new = score(theirs, forest.predict(new))
    print(f"{name}: {out_of_bag:.2f} out of bag, {on_new:.2f} on new photos")
    return out_of_bag, on_new


def macro_f1(labels, predicted):
    return f1_score(labels, predicted, average="macro")


noise, coins = drawn.normal(size=(1000, 10)), drawn.integers(0, 2, 1000)
guesses = scores("random labels, accuracy", BalancedRandomForestClassifier(**BAG),
                 (noise[:500], coins[:500], noise[500:], coins[500:]), accuracy_score)  # fmt: skip
assert guesses[0] > 0.95 and guesses[1] < 0.6, "random labels are not predicted out of bag now"

pixels, digits = load_digits(return_X_y=True)
order = drawn.permutation(len(digits))
pixels, digits = pixels[order] + drawn.normal(size=pixels.shape) * 6, digits[order]
kept = np.concatenate([np.flatnonzero(digits[:1000] == digit)[: 100 if digit < 5 else 25] for digit in range(10)])
data = (pixels[kept], digits[kept], pixels[1000:], digits[1000:])
found = {
    "leaves of 1": BalancedRandomForestClassifier(**BAG),
    "leaves of 20": BalancedRandomForestClassifier(**BAG, min_samples_leaf=20),
    "without replacement": BalancedRandomForestClassifier(**BAG, replacement=False),
    "scikit-learn's": RandomForestClassifier(**BAG, class_weight="balanced_subsample"),
}
found = {name: scores(f"digits, macro-F1, {name}", forest, data, macro_f1) for name, forest in found.items()}
folds = macro_f1(data[1], cross_val_predict(BalancedRandomForestClassifier(**TREES), *data[:2], cv=5))
print(f"digits, macro-F1, cross-validation: {folds:.2f}")
assert found["leaves of 1"][0] > found["leaves of 1"][1] + 0.15
assert found["leaves of 1"][0] > found["leaves of 20"][0] + 0.15
assert abs(found["leaves of 1"][1] - found["leaves of 20"][1]) < 0.03
assert found["without replacement"][0] < found["without replacement"][1] - 0.1
assert abs(np.subtract(*found["scikit-learn's"])) < 0.08 and abs(folds - found["leaves of 1"][1]) < 0.08
CODE
