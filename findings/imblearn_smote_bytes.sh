#!/bin/sh
# imbalanced-learn 0.14.2: SMOTE, BorderlineSMOTE, SVMSMOTE and KMeansSMOTE of photos as bytes (uint8, as decoders give
# them) make noise, without a word. A new row is a + step * (b - a), and b - a is computed in the type of the input:
# 100 - 120 is 236, so a pixel between 100 and 120 becomes one of up to 255, or starts at 0 again. Guessed: rows between
# two rows of the class, rounded to bytes at the end, as int64 and float32 give. Seen, on scikit-learn's digits as 0 to
# 255: a quarter of the new pixels are not what float64 gives, and the macro-F1 of classifiers trained on them is lower,
# for BorderlineSMOTE even lower than without any oversampling. Shapes, classes, counts and types of the rows are right,
# and neighbours are sought in floats. RandomOverSampler(shrinkage=...) turns the input to floats first.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q --disable-pip-version-check \
  imbalanced-learn==0.14.2 scikit-learn==1.9.1 numpy==2.4.6
"$folder/venv/bin/python" - <<'CODE'
import imblearn
import numpy as np
from imblearn.over_sampling import SMOTE, SVMSMOTE, BorderlineSMOTE, KMeansSMOTE
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

print("imbalanced-learn", imblearn.__version__)
two = np.array([[100], [120]], dtype=np.uint8)
rows = np.concatenate([two, np.full((30, 1), 255, np.uint8)])
classes = np.repeat([1, 0], [2, 30])
for dtype in (np.float32, np.uint8):
    new = SMOTE(k_neighbors=1, random_state=0).fit_resample(rows.astype(dtype), classes)[0][len(rows):]
    print(f"between 100 and 120, as {dtype.__name__}: {np.sort(new.ravel()).astype(int).tolist()}")
    assert (new.min() >= 100 and new.max() <= 120) == (dtype is np.float32)

photos, digit = load_digits(return_X_y=True)
photos = (photos * 255 / 16).astype(np.uint8)
train, test, digit, truth = train_test_split(photos, digit, test_size=0.5, stratify=digit, random_state=0)
kept = np.concatenate([np.flatnonzero(digit == k)[: 12 if k % 2 else 90] for k in range(10)])
train, digit = train[kept], digit[kept]  # odd digits are rare
models = {
    "one neighbour": KNeighborsClassifier(1),
    "logistic regression": make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)),
}


def scores(rows, labels):
    return {
        name: float(f1_score(truth, model.fit(rows, labels).predict(test), average="macro"))
        for name, model in models.items()
    }


def text(found):
    return ", ".join(f"{name} {score:.3f}" for name, score in found.items())


plain = scores(train, digit)
print("macro-F1 without oversampling:", text(plain))
ways = (
    SMOTE(random_state=0),
    BorderlineSMOTE(random_state=0),
    SVMSMOTE(random_state=0),
    KMeansSMOTE(kmeans_estimator=KMeans(10, n_init=3, random_state=0), cluster_balance_threshold=0.1, random_state=0),
)
lost, below = [], []
for way in ways:
    got, exact = {}, way.fit_resample(train.astype(np.float64), digit)[0][len(train):]
    for dtype in (np.float32, np.int64, np.uint8):
        rows, labels = way.fit_resample(train.astype(dtype), digit)
        wrong = float((abs(rows[len(train):] - exact) > 1.01).mean())
        got[dtype] = scores(rows, labels)
        name = f"{type(way).__name__} {dtype.__name__}"
        print(f"{name:23} {len(exact)} new, {wrong:6.1%} of their pixels off by more than 1; {text(got[dtype])}")
        assert (wrong > 0.1) if dtype is np.uint8 else (wrong < 0.001)
    lost += [got[np.float32][name] - got[np.uint8][name] for name in models]
    below.append(any(got[np.uint8][name] < plain[name] < got[np.float32][name] for name in models))
print(f"macro-F1 lost by bytes: {min(lost):.3f} to {max(lost):.3f}, mean {np.mean(lost):.3f}")
assert np.mean(lost) > 0.008 and any(below), "one is worse than without oversampling"
CODE
