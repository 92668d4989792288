#!/bin/sh
# lightning 2.6.6: EMAWeightAveraging(update_starting_at_epoch=N) averages from the first step on. Guessed: nothing is
# averaged before epoch N, as with update_starting_at_step=N nothing is before step N (no docstring describes either).
# Seen: after a step, the starting epoch is not asked at all. The argument adds an update at the end of each epoch
# from N on, one in hundreds, and drops none. So the initial weights and those of the first steps stay in the average
# with what the decay leaves them: at the default, .999, most of it in a short training. On scikit-learn's digits,
# eight epochs of 30 steps, the averaged network, which is what is validated, saved in checkpoints and left after the
# training, has a macro-F1 of .10, as without the argument; started at the same moment by update_starting_at_step it
# has .98, as the trained weights have. A search over the starting epoch finds that it does not matter. Way round: the
# starting epoch times the steps of an epoch as update_starting_at_step, or a should_update of one's own.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q --no-compile --disable-pip-version-check \
  lightning==2.6.6 torch==2.14.1 numpy==2.4.6 scikit-learn==1.9.1
cd "$folder"
"$folder/venv/bin/python" - <<'CODE'
import logging
import warnings
from importlib.metadata import version

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import EMAWeightAveraging
from sklearn.datasets import load_digits
from sklearn.metrics import f1_score
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

warnings.simplefilter("ignore")
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
torch.set_num_threads(1)
print("lightning", version("lightning"))
pixels, digits = (torch.tensor(part) for part in load_digits(return_X_y=True))
photos = (pixels / 16).float().view(-1, 1, 8, 8)
order = torch.randperm(len(digits), generator=torch.Generator().manual_seed(0))
train, test = order[:900], order[900:]
STEPS, EPOCHS = 30, 8


class Network(LightningModule):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(),
            nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(),
            nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(128, 10),
        )  # fmt: skip

    def training_step(self, batch, _):
        return nn.functional.cross_entropy(self.layers(batch[0]), batch[1])

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), 0.01)


class Counted(EMAWeightAveraging):
    """Notes the steps and epochs after which the average was updated."""

    def should_update(self, step_idx=None, epoch_idx=None):
        updated = super().should_update(step_idx, epoch_idx)
        if updated:
            (self.steps if step_idx is not None else self.epochs).append(epoch_idx if step_idx is None else step_idx)
        return updated


def trained(average=None):
    torch.manual_seed(0)
    network = Network()
    if average:
        average.steps, average.epochs = [], []
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    trainer = Trainer(max_epochs=EPOCHS, accelerator="cpu", callbacks=[average] if average else [], **quiet)
    trainer.fit(network, DataLoader(TensorDataset(photos[train], digits[train]), 900 // STEPS, shuffle=True))
    network.eval()
    with torch.no_grad():
        return float(f1_score(digits[test], network.layers(photos[test]).argmax(1), average="macro"))


found = {"no average": trained()}
print(f"no average: macro-F1 {found['no average']:.3f}")
for start in ({}, {"update_starting_at_epoch": 6}, {"update_starting_at_step": 6 * STEPS}):
    average = Counted(**start)
    name = next(iter(start), "no start")
    found[name] = trained(average)
    print(f"{start or name}: {len(average.steps)} of {STEPS * EPOCHS} steps from {average.steps[0]} on, epochs "
          f"{average.epochs}; macro-F1 of the average {found[name]:.3f}")  # fmt: skip
    assert average.steps[0] == (6 * STEPS if "step" in name else 0)
    assert average.epochs == ([6, 7] if "epoch" in name else [])
assert found["update_starting_at_step"] > found["no average"] - 0.03
assert found["update_starting_at_epoch"] < found["update_starting_at_step"] - 0.2, "the epoch is heeded now"
assert abs(found["update_starting_at_epoch"] - found["no start"]) < 0.03
CODE
