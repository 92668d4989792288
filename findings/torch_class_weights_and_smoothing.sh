#!/bin/sh
# torch 2.14.1: CrossEntropyLoss(weight=..., label_smoothing=...) does not weight the smoothed loss of a photo by its
# class. Guessed: weight[y] times the smoothed loss. Documented: `weight` is "a manual rescaling weight given to each
# class", and with label_smoothing "the targets become a mixture of the original ground truth and a uniform
# distribution". Seen: each class's share of the smoothing is multiplied by *its own* weight, so a photo of a frequent
# class is pulled to the rare ones. Past a ratio of weights of classes * (1 - smoothing) / smoothing + 1 the loss of a
# frequent photo is least where a rare class is predicted: 19 for two classes and a smoothing of .1, 91 for ten (a
# long tail of 1:100 with weights of 1/count), 163 for 18. Below that it costs, too. On scikit-learn's digits, "is it
# an 8?" with 20 of 620, weights of 1/count: macro-F1 .82 without smoothing, .22 with .1, and .81 with .1 and the
# guessed loss. Each of the two arguments alone is fine, so searches over either don't show it. Way round:
# reduction="none" without weights, then the weighted mean.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q --no-compile --disable-pip-version-check \
  torch==2.14.1 numpy==2.4.6 scikit-learn==1.9.1
"$folder/venv/bin/python" - <<'CODE'
import torch
from sklearn.datasets import load_digits
from sklearn.metrics import f1_score
from torch.nn.functional import cross_entropy

torch.set_num_threads(1)
print("torch", torch.__version__)


def least(loss, classes):
    """The probabilities that make a loss of a photo of class 0 least."""
    logits = torch.zeros(1, classes, requires_grad=True)
    optimizer = torch.optim.LBFGS([logits], max_iter=200, line_search_fn="strong_wolfe")

    def step():
        optimizer.zero_grad()
        value = loss(logits, torch.tensor([0]))
        value.backward()
        return value

    optimizer.step(step)
    return logits.detach().softmax(1)[0]


def torchs(weight, smoothing):
    return lambda logits, y: cross_entropy(logits, y, weight=weight, label_smoothing=smoothing)


def guessed(weight, smoothing):
    def loss(logits, y):
        each = cross_entropy(logits, y, label_smoothing=smoothing, reduction="none")
        return (weight[y] * each).sum() / weight[y].sum()

    return loss


for classes, limit in ((2, 19), (10, 91), (18, 163)):
    for ratio in (limit // 2, limit * 2):
        weight = torch.ones(classes)
        weight[-1] = ratio
        found = {name: least(loss(weight, 0.1), classes) for name, loss in (("torch", torchs), ("guessed", guessed))}
        text = ", ".join(f"{name} {p[0]:.2f} and {p[-1]:.2f}" for name, p in found.items())
        print(f"{classes:2} classes, rare weight {ratio:3}: best p(its class) and p(rare) of a frequent photo: {text}")
        assert (found["torch"][0] < found["torch"][-1]) == (ratio > limit)
        assert found["guessed"][0] > 0.9

photos, digits = load_digits(return_X_y=True)
photos, eight = torch.tensor(photos / 16, dtype=torch.float32), torch.tensor(digits == 8).long()
half = torch.arange(len(eight)) < 900
train = torch.cat([torch.where(half & (eight == k))[0][:count] for k, count in ((0, 600), (1, 20))])
weight = len(train) / 2 / torch.bincount(eight[train])


def macro_f1(loss):
    torch.manual_seed(0)
    network = torch.nn.Linear(64, 2)
    optimizer = torch.optim.Adam(network.parameters(), 0.02)
    for _ in range(400):
        optimizer.zero_grad()
        loss(network(photos[train]), eight[train]).backward()
        optimizer.step()
    return float(f1_score(eight[~half], network(photos[~half]).argmax(1), average="macro"))


print("weights", [round(w, 2) for w in weight.tolist()])
scores = {}
for smoothing in (0.0, 0.1):
    for name, loss in (("unweighted", torchs(None, smoothing)), ("torch", torchs(weight, smoothing)),
                       ("guessed", guessed(weight, smoothing))):
        scores[name, smoothing] = macro_f1(loss)
        print(f"smoothing {smoothing}, {name}: macro-F1 {scores[name, smoothing]:.3f}")
assert scores["torch", 0.1] < scores["unweighted", 0.1] < scores["guessed", 0.1]
assert scores["torch", 0.1] < scores["torch", 0.0] - 0.3 and abs(scores["guessed", 0.1] - scores["guessed", 0.0]) < 0.1
CODE
