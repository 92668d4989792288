"""The training loop: `for epoch in fit(...)`. The caller decides whether to report, to stop and to save."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from trial.data.batches import Batch, on_device
from trial.forward import Forward
from trial.learning.ema import Average
from trial.learning.freezing import Freeze
from trial.learning.learner import Learner
from trial.learning.losses import Loss
from trial.learning.schedules import Schedule, middle
from trial.metrics import METRICS, Scores, column_of, score_probabilities
from trial.preprocessing import Preprocessing
from trial.process.compute import Compute
from trial.process.ranks import MIN_PART
from trial.rng import stream

logger = logging.getLogger(__name__)
Batches = Iterable[Batch]
CHECK = 50  # batches between two looks at the losses on a GPU, which would wait for each
COLUMNS = ("epoch", "seconds", "learning_rate", "train_loss", "train_accuracy", "validation_loss")
CAUSES = (
    "a smaller learning_rate, clip_norm=1 or precision=float32 may help; likely causes are a learning rate "
    "too high, float16's range, or batch statistics of few photos"
)


@dataclass(frozen=True)
class Training:
    """The parts of one training; trial/recipe.py makes them from a TrialConfig.

    `train` has a length, in batches; `accumulate` batches make a step. `done`: epochs that an earlier part of
    this training took; `train` begins with the next one. `whole`: the state dict to be saved of the network
    or its average: with cached features, that of the backbone, too.
    """

    network: nn.Module  # on its device
    passes: Callable[[Tensor], Tensor]  # the same, for training: compiled, or on several ranks in DDP
    train: Batches
    forward: Forward
    learner: Learner
    learning_rate: float  # times the schedule's factor
    schedule: Schedule
    freeze: Freeze
    epochs: int
    seed: int
    accumulate: int = 1
    average: Average | None = None  # of the network's weights: it is validated and kept
    done: int = 0
    whole: Callable[[nn.Module], Mapping[str, Tensor]] = nn.Module.state_dict

    def state(self, epoch: int) -> dict[str, Any]:
        """All that changes from epoch to epoch, after `epoch`, for `load`: tensors (in use, not copied) and
        plain values. All else depends on the config and the number of the epoch only: order, random draws,
        what is frozen, the learning rate."""
        return {
            "epoch": epoch,
            "network": self.network.state_dict(),
            "learner": self.learner.state(),
            "average": self.average.state() if self.average else None,
            "schedule": self.schedule.state(),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from the `state` after epoch `done`: the epochs that follow are those of one training
        without a break, bit by bit on a CPU with the same number of threads."""
        self.network.load_state_dict(state["network"])
        self.learner.load(state["learner"])
        if self.average:
            self.average.load(state["average"])
        self.schedule.load(state["schedule"])


@dataclass(frozen=True)
class Epoch:
    """One epoch, counted from 1. Without validation photos the last three fields are None and nan.

    `learning_rate` is that of its last step; `train_accuracy` counts a prediction as right if it is the
    class with the larger fraction of a mixed photo; `network` is what was validated and is to be saved (with
    `ema` the averaged weights); `probabilities` (photos, classes) are in validation's order.
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
    parts: int = 1  # in which each batch was trained, because memory ran out
    device_bytes: int = 0  # the most memory of a GPU that this process has held so far

    def row(self) -> dict[str, float]:
        """A row of epochs.csv."""
        row = {name: getattr(self, name) for name in COLUMNS}
        if self.scores is not None:
            # These two stay the first, in the order of earlier versions.
            row |= {"accuracy": self.scores.accuracy, "macro_f1": self.scores.macro_f1}
            row |= {column_of(metric): of(self.scores) for metric, of in METRICS.items()}
            row |= {f"recall_{label:02d}": value for label, value in enumerate(self.scores.recall)}
        return row


def fit(training: Training, validation: Batches | None = None) -> Iterator[Epoch]:
    """Train `training.network` in place, epoch by epoch, after those that are done. `training.state` of an
    epoch is valid until the next one is asked for.

    FloatingPointError if the training loss or a prediction for a validation photo is not finite. If the
    device's memory runs out, batches are trained in halves from then on, quarters, ..., with a warning.
    """
    network, forward, learner = training.network, training.forward, training.learner
    average = training.average
    validated = average.network if average else network
    device, ranks = forward.compute.device, forward.compute.ranks
    batches = len(training.train)  # type: ignore[arg-type]
    parts = 1

    for epoch in range(training.done + 1, training.epochs + 1):
        started = time.perf_counter()
        # An epoch's dropout depends on the epoch only: with several folds in turn, other draws come between.
        # Each rank has a dropout of its own, rank 0 that of one process.
        torch.manual_seed(int(stream("network", training.seed, epoch).integers(2**63)) + ranks.rank)
        network.train()
        training.freeze(network, epoch)
        # Summed on the device: reading each batch's loss would wait for it.
        total_loss, hits = torch.zeros(2, device=device)
        first_wrong = torch.tensor(batches, device=device)  # the first batch whose loss is not finite
        photos, group = 0, list[tuple[int, Batch]]()
        for index, batch in enumerate(on_device(training.train, device)):
            first = index - index % training.accumulate
            together = min(training.accumulate, batches - first)  # an epoch's last step may have fewer
            group = [*group, (index, batch)] if index > first else [(index, batch)]
            added = _add_gradients(training, group[-1:], parts, together)
            while added is None:
                parts *= 2
                logger.warning(
                    f"WARNING: out of memory in epoch {epoch}: batches of {len(batch.labels)} photos are "
                    f"trained in {parts} parts from now on, their gradients accumulated"
                )
                added = _add_gradients(training, group, parts, together)
            loss, right = added
            first_wrong = torch.where(loss.isfinite(), first_wrong, first_wrong.clamp(max=index))
            if device.type == "cpu" or index % CHECK == CHECK - 1 or index + 1 == batches:
                _refuse_not_finite(loss, int(first_wrong), batches, training.accumulate, epoch)
            if index + 1 == first + together:
                done = middle(epoch, first, together, batches)
                learning_rate = training.learning_rate * training.schedule(done)
                try:
                    learner.step(learning_rate)
                except torch.OutOfMemoryError as error:  # halving makes its state no smaller
                    error.add_note("in the optimizer's step, whose state does not fit")
                    raise
                if average:
                    average.update(network)
            total_loss += loss * len(batch.labels)
            hits += right
            photos += len(batch.labels)
        ranks.average_statistics(network, validated)
        train_loss = float(total_loss) / photos
        measured = {}
        if validation is not None:
            measured = evaluate(validated, forward.preprocessing, forward.compute, validation, forward.loss)
            # argmax takes NaN for the largest: such a photo would count as predicted to be class 0.
            if not_finite := int((~np.isfinite(measured["probabilities"])).any(1).sum()):
                raise FloatingPointError(
                    f"the predictions for {not_finite} of {len(measured['probabilities'])} validation photos "
                    f"are not numbers in epoch {epoch}; {CAUSES}"
                )
        training.schedule.step(measured.get("validation_loss", train_loss))
        seconds = time.perf_counter() - started
        accuracy = float(hits) / photos
        yield Epoch(
            epoch, seconds, learning_rate, train_loss, accuracy, validated, **measured,
            parts=parts, device_bytes=forward.compute.device_bytes(),
        )  # fmt: skip


def _add_gradients(
    training: Training, group: Sequence[tuple[int, Batch]], parts: int, together: int
) -> tuple[Tensor, Tensor] | None:
    """Add the gradients of these batches, each in `parts` parts: (loss, number of right predictions) of the
    last one. None, and no gradients, if the memory of the device was too small."""
    forward, learner = training.forward, training.learner
    try:
        for index, batch in group:
            losses, hits = [], []
            for loss, logits, targets in forward.in_parts(training.passes, batch, index, parts):
                learner.backward(loss / together)
                labels = targets if targets.dim() == 1 else targets.argmax(1)
                losses.append(loss.detach())
                hits.append((logits.argmax(1) == labels).sum())
        return torch.stack(losses).sum(), torch.stack(hits).sum()
    except torch.OutOfMemoryError as error:
        if forward.compute.ranks.world > 1:  # the others would wait for the rest of this pass
            raise MemoryError("of a GPU; on several, batches are not halved") from error
        if 2 * parts > len(group[-1][1].labels) // MIN_PART:
            error.add_note("even in parts of two photos")
            raise
    learner.drop()
    return None  # which lets go of what the failed batch holds


def _refuse_not_finite(loss: Tensor, wrong: int, batches: int, accumulate: int, epoch: int) -> None:
    if wrong < batches:
        step, steps = wrong // accumulate + 1, -(-batches // accumulate)
        found = f" is {float(loss)}" if not loss.isfinite() else " was not finite"
        raise FloatingPointError(
            f"the training loss{found} at step {step} of {steps} in epoch {epoch}; {CAUSES}"
        )


def evaluate(
    network: nn.Module, preprocessing: Preprocessing, compute: Compute, batches: Batches, loss: Loss
) -> dict:
    """{validation_loss, scores, probabilities} of an Epoch."""
    logits, labels = infer(network, preprocessing, compute, batches)
    probabilities = logits.softmax(1).numpy()
    return {
        "validation_loss": float(loss(logits, labels)),
        "scores": score_probabilities(labels.numpy(), probabilities),
        "probabilities": probabilities,
    }


@torch.inference_mode()
def infer(
    network: nn.Module, preprocessing: Preprocessing, compute: Compute, batches: Batches
) -> tuple[Tensor, Tensor]:
    """Logits (photos, classes) float32 and labels (photos,), on the CPU, in the order of `batches`, at least
    one."""
    network.eval()
    logits, labels = [], []
    forward = partial(_forward, network, preprocessing)
    for batch in on_device(batches, compute.device):
        with compute.autocast(), compute.on_own_cores():
            logits.append(compute.ranks.logits(forward, batch.photos))
        labels.append(batch.labels)
    return torch.cat(logits).cpu(), torch.cat(labels).cpu()


def _forward(network: nn.Module, preprocessing: Preprocessing, photos: Tensor) -> Tensor:
    """Logits of all photos; in halves if they don't fit into the GPU's memory at once."""
    try:
        return network(preprocessing.normalise(photos))
    except torch.OutOfMemoryError:
        if len(photos) == 1:
            raise
    return torch.cat([_forward(network, preprocessing, half) for half in photos.chunk(2)])
