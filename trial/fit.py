"""The loop: `for epoch in fit(...)`. Whoever calls decides to report, to stop, to save."""

import copy
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from dataset.labels import N_CLASSES
from trial.compute import Compute
from trial.config import TrialConfig
from trial.data.batches import Batch, on_device
from trial.data.preprocessing import Preprocessing
from trial.forward import Forward
from trial.learning.learner import Learner
from trial.learning.losses import Loss
from trial.learning.param_groups import FREEZES
from trial.learning.schedules import SCHEDULES, middle
from trial.metrics import Scores, score
from trial.rng import stream

Batches = Iterable[Batch]
COLUMNS = ("epoch", "seconds", "learning_rate", "train_loss", "train_accuracy", "validation_loss")


CAUSES = (
    "a smaller learning_rate, clip_norm=1 or precision=float32 may help; likely causes are a learning rate "
    "too high, float16's range, or batch statistics of few photos"
)


@dataclass(frozen=True)
class Epoch:
    """One epoch, counted from 1. Without validation photos its last three are None and the loss nan.

    `learning_rate` is that of its last step; `train_accuracy` is held against the larger share of mixed
    photos; `network` is what was validated and is to be kept (with `ema`, that of averaged weights);
    `probabilities` (photos, 18) are in validation's order.
    """

    epoch: int
    seconds: float
    learning_rate: float
    train_loss: float
    train_accuracy: float
    network: nn.Module
    validation_loss: float = float("nan")
    scores: Scores | None = None
    probabilities: np.ndarray | None = None

    def row(self) -> dict[str, float]:
        """A line of epochs.csv."""
        row = {name: getattr(self, name) for name in COLUMNS}
        if self.scores is not None:
            row |= {"accuracy": self.scores.accuracy, "macro_f1": self.scores.macro_f1}
            row |= {f"recall_{label:02d}": value for label, value in enumerate(self.scores.recall)}
        return row


def fit(
    network: nn.Module,
    preprocessing: Preprocessing,
    config: TrialConfig,
    compute: Compute,
    class_counts: np.ndarray,
    train: Batches,
    validation: Batches | None = None,
) -> Iterator[Epoch]:
    """Train `network` in place, epoch by epoch. `class_counts` (18,): the training photos of each class.

    FloatingPointError when the loss is no longer a number.
    """
    compute.place(network)
    forward = Forward(config, preprocessing, compute, class_counts)
    learner = Learner(network, config, compute)
    schedule, freeze = config.schedule.build(SCHEDULES, config.epochs), config.freeze.build(FREEZES)
    average = Average(network, config.ema) if config.ema else None
    kept = average.network if average else network
    if config.compile:
        network.compile()
    batches = len(train)  # type: ignore[arg-type]

    for epoch in range(1, config.epochs + 1):
        begun = time.perf_counter()
        # What a network drops in an epoch is the same, whatever was drawn before: other folds take turns.
        torch.manual_seed(int(stream("network", config.seed, epoch).integers(2**63)))
        network.train()
        freeze(network, epoch)
        # Summed on the device: a look at each batch's loss would wait for it.
        total, hits = torch.zeros(2, device=compute.device)
        photos = 0
        for number, batch in enumerate(on_device(train, compute.device)):
            batch_loss, logits, targets = forward(network, batch, number)
            first = number - number % config.accumulate
            together = min(config.accumulate, batches - first)  # an epoch's last step may have fewer
            learner.backward(batch_loss / together)
            if number + 1 == first + together:
                learning_rate = config.learning_rate * schedule(middle(epoch, first, together, batches))
                learner.step(learning_rate)
                if average:
                    average.update(network)
            total += batch_loss.detach() * len(batch.labels)
            truth = targets if targets.dim() == 1 else targets.argmax(1)
            hits += (logits.argmax(1) == truth).sum()
            photos += len(batch.labels)
        train_loss = float(total) / photos
        if not np.isfinite(train_loss):
            raise FloatingPointError(f"the training loss is {train_loss} in epoch {epoch}; {CAUSES}")
        measured = {}
        if validation is not None:
            measured = evaluate(kept, preprocessing, compute, validation, forward.loss)
            # A NaN is larger than no number: its photo would count as answered by class 0.
            if lost := int((~np.isfinite(measured["probabilities"])).any(1).sum()):
                raise FloatingPointError(
                    f"the answers for {lost} of {len(measured['probabilities'])} validation photos are not "
                    f"numbers in epoch {epoch}; {CAUSES}"
                )
        schedule.step(measured.get("validation_loss", train_loss))
        seconds = time.perf_counter() - begun
        yield Epoch(epoch, seconds, learning_rate, train_loss, float(hits) / photos, kept, **measured)


class Average:
    """`network`: the running mean of another one's state dict over the steps, each tensor counted once though
    layers share it; whole numbers are the last step's."""

    def __init__(self, network: nn.Module, decay: float):
        self.network, self.decay, self.steps = copy.deepcopy(network), decay, 0

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """One more step of `network`."""
        self.steps += 1
        states = zip(self.network.state_dict().values(), network.state_dict().values(), strict=True)
        pairs = {(mean.data_ptr(), mean.shape): (mean, now) for mean, now in states}.values()
        means, latest = zip(*(pair for pair in pairs if pair[0].is_floating_point()), strict=True)
        get_ema_multi_avg_fn(decay_at(self.steps, self.decay))(list(means), list(latest), self.steps)
        for mean, now in pairs:
            if not mean.is_floating_point():
                mean.copy_(now)


def decay_at(step: int, decay: float) -> float:
    """The fraction of the averaged weights that step number `step` (from 1) keeps, so that they are the mean
    of the weights after each step, those of n steps ago counting `decay` to the power n. From the start on,
    and without the weights before the first step: Adam's bias correction (Kingma and Ba 2015,
    arXiv:1412.6980)."""
    return decay * (1 - decay ** (step - 1)) / (1 - decay**step)


def evaluate(
    network: nn.Module, preprocessing: Preprocessing, compute: Compute, batches: Batches, loss: Loss
) -> dict:
    """validation_loss, scores and probabilities of an Epoch."""
    logits, labels = infer(network, preprocessing, compute, batches)
    probabilities = logits.softmax(1).numpy()
    return {
        "validation_loss": float(loss(logits, labels)),
        "scores": score(labels.numpy(), probabilities.argmax(1)),
        "probabilities": probabilities,
    }


@torch.inference_mode()
def infer(
    network: nn.Module, preprocessing: Preprocessing, compute: Compute, batches: Batches
) -> tuple[Tensor, Tensor]:
    """Logits (photos, 18) float32 and labels (photos,), on the CPU, in the order of `batches`."""
    network.eval()
    logits = [torch.empty(0, N_CLASSES, device=compute.device)]
    labels = [torch.empty(0, dtype=torch.int64, device=compute.device)]
    for batch in on_device(batches, compute.device):
        with compute.autocast():
            logits.append(_forward(network, preprocessing, batch.photos).float())
        labels.append(batch.labels)
    return torch.cat(logits).cpu(), torch.cat(labels).cpu()


def _forward(network: nn.Module, preprocessing: Preprocessing, photos: Tensor) -> Tensor:
    """Logits of all photos; in halves where they don't fit into the GPU's memory at once."""
    try:
        return network(preprocessing.normalise(photos))
    except torch.OutOfMemoryError:
        if len(photos) == 1:
            raise
    return torch.cat([_forward(network, preprocessing, half) for half in photos.chunk(2)])
