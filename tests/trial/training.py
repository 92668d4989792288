"""The parts of a training of a DataFrame of photos, without a run folder."""

import torch
from torch import nn

from dataset.face_masks.labels import FACE_MASK
from dataset.task import Task
from trial import recipe
from trial.config import TrialConfig
from trial.data import batches
from trial.fit import Batches, Training
from trial.process.compute import decide


def training_of(
    config: TrialConfig, table, network: nn.Module | None = None, task: Task = FACE_MASK
) -> Training:
    """The parts that train the config's network, or `network`, on all of `table`."""
    torch.manual_seed(config.seed)
    built, preprocessing = recipe.build(config, task)
    network = network or built
    compute = decide(network, config.device, config.precision, config.threads, config.workers)
    start = recipe.Start(task, table, network, preprocessing, compute, None)
    return recipe.training(config, start, network, table)


def held_out(training: Training, table, batch_size: int = 64) -> Batches:
    """The photos of `table` for validation."""
    return batches.loader(batches.Photos(table, training.forward.preprocessing), batch_size)
