#!/bin/sh
# torch 2.14.1: the class weights of CrossEntropyLoss(weight=...) fade as batches get smaller, and do nothing at all
# in a batch of one, however large they are. The mean is divided by the sum of the weights of the batch (so says the
# formula in its documentation), so a rare photo's weight counts only against the photos that happen to share its
# batch. Guessed: a weight of 10 counts ten times in a batch of any size, and gradient accumulation with equal
# micro-batches gives the step of the whole batch. Seen: one step of the optimizer for each 64 photos of
# scikit-learn's digits, five classes of 3 photos among five of 120, weights of 1/count: macro-F1 .75 in one piece,
# .69 in pieces of 16, .58 of 4, .36 of 1, which is the network that one gets without class weights, but for rounding.
# Who halves the batch for a larger photo or model, and doubles the accumulation, trains on other class weights.
# Without them all sizes give .36. Way round: reduction="none", times weight[y], divided by the number of photos: .77
# for all sizes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q --no-compile --disable-pip-version-check \
  torch==2.14.1 numpy==2.4.6 scikit-learn==1.9.1
"$folder/venv/bin/python" - <<'CODE'
import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.metrics import f1_score
from torch.nn.functional import cross_entropy

torch.set_num_threads(1)
print("torch", torch.__version__)
photos, digits = load_digits(return_X_y=True)
order = np.random.default_rng(0).permutation(len(digits))
train, test = order[:1200], order[1200:]
train = np.concatenate([train[digits[train] == k][: 120 if k < 5 else 3] for k in range(10)])
photos, digits = torch.tensor(photos / 16, dtype=torch.float32), torch.tensor(digits)
count = torch.bincount(digits[train])
weight = len(train) / 10 / count
print("photos a class", count.tolist(), "weights", [round(w, 1) for w in weight.tolist()])


def mean(logits, y):
    return cross_entropy(logits, y, weight=weight)


def unweighted(logits, y):
    return cross_entropy(logits, y)


def by_photos(logits, y):
    return (weight[y] * cross_entropy(logits, y, reduction="none")).sum() / len(y)


def trained(loss, piece):
    torch.manual_seed(0)
    network = torch.nn.Linear(64, 10)
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    for _ in range(40):
        for batch in torch.randperm(len(train)).split(64):
            optimizer.zero_grad()
            for rows in batch.split(piece):
                rows = train[rows.numpy()]
                (loss(network(photos[rows]), digits[rows]) * len(rows) / len(batch)).backward()
            optimizer.step()
    return network.weight.detach(), float(f1_score(digits[test], network(photos[test]).argmax(1), average="macro"))


found = {}
for loss in (mean, by_photos, unweighted):
    for piece in (64, 16, 4, 1):
        found[loss, piece] = trained(loss, piece)
        print(f"{loss.__name__:10} pieces of {piece:2}: macro-F1 {found[loss, piece][1]:.3f}")
score = {key: one for key, (_, one) in found.items()}
apart = float((found[mean, 1][0] - found[unweighted, 1][0]).abs().max() / found[unweighted, 1][0].abs().max())
print(f"pieces of 1, with and without class weights: the network's weights differ by {apart:.0e}, relative")
assert apart < 1e-3, "no class weights at all"
assert score[mean, 64] - score[mean, 16] > 0.02 and score[mean, 16] - score[mean, 4] > 0.05
assert score[mean, 4] - score[mean, 1] > 0.1
for loss in (by_photos, unweighted):
    assert abs(score[loss, 64] - score[loss, 1]) < 0.02
CODE
