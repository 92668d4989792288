#!/bin/sh
# scikit-learn 1.9.1: CalibratedClassifierCV(method="temperature") makes probabilities useless, without a word, if the
# classes are integers other than 0, 1, 2, ... Only labels that are strings are encoded; integers are taken for
# numbers of columns. Classes 1, 2, 3 of an overconfident model: every photo gets a third for each class, and the log
# loss is that of a guess. The same data with the classes 0, 1, 2 or "1", "2", "3" are calibrated well, and so are
# 1, 2, 3 with method="sigmoid". Predicted classes hardly change, so accuracy and F1 don't show it. The documentation
# says only of the private function below that y "needs to be label encoded".
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q --disable-pip-version-check scikit-learn==1.9.1 numpy==2.4.6
"$folder/venv/bin/python" - <<'CODE'
import numpy as np
import sklearn
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import make_classification
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import log_loss
from sklearn.naive_bayes import GaussianNB

print("scikit-learn", sklearn.__version__)
X, y = make_classification(3000, n_features=20, n_informative=4, n_redundant=10, n_classes=3, random_state=0)
train, held, test = slice(0, 1000), slice(1000, 2000), slice(2000, 3000)


def losses(names, method):
    """Log loss on the test rows before and after the calibration, and the inverse temperature, if there is one."""
    labels = np.array(names)[y]
    model = GaussianNB().fit(X[train], labels[train])
    calibrated = CalibratedClassifierCV(FrozenEstimator(model), method=method).fit(X[held], labels[held])
    inverse = getattr(calibrated.calibrated_classifiers_[0].calibrators[0], "beta_", np.nan)
    before, after = (log_loss(labels[test], one.predict_proba(X[test])) for one in (model, calibrated))
    print(f"{method:12} classes {names}: log loss {before:.3f} before, {after:.3f} after; 1/T {inverse:.5f}")
    return after


right = losses([0, 1, 2], "temperature")
assert losses(["1", "2", "3"], "temperature") == right
assert losses([1, 2, 3], "sigmoid") < 0.75
wrong = losses([1, 2, 3], "temperature")
print(f"a guess: {np.log(3):.3f}")
assert right < 0.7 and abs(wrong - np.log(3)) < 0.01, "the probabilities are a third each"
CODE
