#!/bin/sh
# pytorch-ignite 0.5.5: EMAHandler's averaged network and the trained one share their BatchNorm statistics in memory.
# Guessed: handle_buffers="copy", the default, copies the buffers (documented: '"copy" means copying the buffers of the
# online model'). Seen: it lets the averaged network's buffers point to the trained network's memory, so whatever writes
# into the one writes into the other. torch's update_bn(loader, ema_model), the usual step before an average is
# validated, as it needs statistics of its own, mends the average and spoils the trained network, without a word: on
# scikit-learn's digits the average's accuracy rises from .91 to .98, and the trained network's falls from .98 to .28.
# So a comparison of the two favours whichever was measured first, and a checkpoint of the trained network that is
# written afterwards is spoilt. A forward pass of the average in training mode, as a mean teacher's may be, writes
# there, too. Way round: handle_buffers="update", or a clone of each buffer before update_bn: both have .98 then.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q --no-compile --disable-pip-version-check \
  pytorch-ignite==0.5.5 torch==2.14.1 numpy==2.4.6 scikit-learn==1.9.1
"$folder/venv/bin/python" - <<'CODE'
from importlib.metadata import version

import torch
from ignite.engine import Engine
from ignite.handlers import EMAHandler
from sklearn.datasets import load_digits
from torch import nn
from torch.optim.swa_utils import update_bn

torch.set_num_threads(1)
print("pytorch-ignite", version("pytorch-ignite"))
pixels, digits = (torch.tensor(part) for part in load_digits(return_X_y=True))
photos = (pixels / 16).float().view(-1, 1, 8, 8)
order = torch.randperm(len(digits), generator=torch.Generator().manual_seed(0))
train, test = order[:900], order[900:]


def accuracy(network):
    network.eval()
    with torch.no_grad():
        return float((network(photos[test]).argmax(1) == digits[test]).double().mean())


def trained(handle_buffers):
    """A network and its average after eight epochs."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(),
        nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(128, 10),
    )  # fmt: skip
    optimizer = torch.optim.Adam(network.parameters(), 0.01)

    def step(_, rows):
        network.train()
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(photos[rows]), digits[rows]).backward()
        optimizer.step()

    trainer, handler = Engine(step), EMAHandler(network, momentum=0.005, handle_buffers=handle_buffers)
    handler.attach(trainer)
    trainer.run([rows for _ in range(8) for rows in train[torch.randperm(len(train))].split(30)], max_epochs=1)
    return network, handler.ema_model


found = {}
for way, handle_buffers in (("copy", "copy"), ("copy, buffers cloned", "copy"), ("update", "update")):
    network, average = trained(handle_buffers)
    if "cloned" in way:
        for buffer in average.buffers():
            buffer.data = buffer.data.clone()
    shared = average[1].running_mean.data_ptr() == network[1].running_mean.data_ptr()
    before = accuracy(network), accuracy(average)
    mean = network[1].running_mean.clone()
    average.train()(photos[train])  # one forward pass
    assert torch.equal(mean, network[1].running_mean) != shared
    update_bn([photos[rows] for rows in train.split(100)], average)
    after = accuracy(network), accuracy(average)
    found[way] = (shared, *before, *after)
    print(f"{way}: statistics in the same memory {shared}; trained network and average before update_bn(average) "
          f"{before[0]:.2f} and {before[1]:.2f}, after it {after[0]:.2f} and {after[1]:.2f}")  # fmt: skip
shared, network, average, network_after, average_after = found.pop("copy")
assert shared and network > 0.95 and average_after > average + 0.03
assert network_after < network - 0.3, "the trained network keeps its statistics now"
for shared, network, _, network_after, average_after in found.values():
    assert not shared and network_after == network and average_after > 0.95
CODE
