#!/bin/sh
# monai 1.6.1: ConfusionMatrixMetric(metric_name="f1 score") of a task with several classes is the accuracy. Guessed:
# the mean of the F1 of each class, as reduction="mean", the default, says (documented: "mode of reduction to the
# metrics"; and of compute_sample=False, the default: "compute reduction on the confusion matrices first", which reads
# as: photos are counted together before each class gets its F1). Seen: the four counts are averaged over photos *and
# classes*, and F1, precision and recall are computed of that one matrix. A wrong photo is a false positive of one
# class and a false negative of another, so all three are the fraction of right photos, to the last digit. "accuracy"
# is not: it counts a wrong photo as two wrong cells among all classes, .94 where .72 are right. No warning is given.
# In scikit-learn's digits with noise, five classes of some 90 photos and five of 10, a logistic regression has an "f1
# score" of .72 and class_weight="balanced" makes it look worse, .66; its macro-F1 rises from .38 to .52. So a search,
# an early stop and a choice of checkpoint by it serve the frequent classes. Way round: reduction="mean_batch", which
# gives a value for each class, and the mean of these.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q --no-compile --disable-pip-version-check \
  monai==1.6.1 torch==2.14.1 numpy==2.4.6 scikit-learn==1.9.1
"$folder/venv/bin/python" - <<'CODE'
from importlib.metadata import version

import numpy as np
import torch
from monai.metrics import ConfusionMatrixMetric
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score

print("monai", version("monai"))
drawn = np.random.default_rng(0)
pixels, digits = load_digits(return_X_y=True)
order = drawn.permutation(len(digits))
pixels, digits = pixels[order] / 16 + drawn.normal(size=pixels.shape) * 0.6, digits[order]


def some(rows, rare):
    """All photos of five classes, and `rare` of each of the others."""
    return np.concatenate([rows[digits[rows] == digit][: None if digit < 5 else rare] for digit in range(10)])


train, test = some(np.arange(900), 10), some(np.arange(900, len(digits)), 10)


def one_hot(labels):
    return torch.nn.functional.one_hot(torch.tensor(labels), 10)


def monais(guesses, name, **more):
    metric = ConfusionMatrixMetric(metric_name=name, **more)
    for rows in np.array_split(np.arange(len(guesses)), 5):  # in batches, as a validation
        metric(one_hot(guesses[rows]), one_hot(digits[test][rows]))
    return metric.aggregate()[0].numpy()


found = {}
for weights in (None, "balanced"):
    model = LogisticRegression(C=0.01, class_weight=weights, max_iter=1000).fit(pixels[train], digits[train])
    guesses = model.predict(pixels[test])
    right, macro = accuracy_score(digits[test], guesses), f1_score(digits[test], guesses, average="macro")
    values = [float(monais(guesses, name).item()) for name in ("f1 score", "precision", "recall", "accuracy")]
    each = monais(guesses, "f1 score", reduction="mean_batch")
    found[weights] = values[0], macro
    print(f"class_weight={weights}: monai's f1, precision, recall, accuracy {', '.join(f'{v:.3f}' for v in values)}; "
          f"accuracy {right:.3f}, macro-F1 {macro:.3f}, mean of mean_batch {each.mean():.3f}")  # fmt: skip
    assert np.allclose(values, [right] * 3 + [1 - 2 * (1 - right) / 10], atol=1e-5), "it is not the accuracy now"
    assert abs(each.mean() - macro) < 1e-5 and right > macro + 0.1
assert found[None][0] > found["balanced"][0] + 0.03 and found[None][1] < found["balanced"][1] - 0.1
CODE
