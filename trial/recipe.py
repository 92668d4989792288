"""From a TrialConfig to the parts that train a network: the only place that unpacks a config for training.

Trials (trial/run.py), retraining and the learning-rate range test (analysis/) are made of these parts. The
parts themselves take values and don't know the config.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import nn

from common.errors import UsageError
from dataset.cache.arrays import Uncached
from dataset.face_masks.borders import BORDERS
from dataset.fingerprint import fingerprint
from dataset.read import corrected, scan_train
from dataset.tables import log_notes
from dataset.task import Task
from trial.augment.mixing import MIXINGS
from trial.compute import Compute, decide
from trial.config import TrialConfig, task_errors
from trial.data import batches
from trial.data.sampling import COPIES, SAMPLERS
from trial.fit import Training
from trial.forward import Forward
from trial.learning.ema import Average
from trial.learning.freezing import FREEZES
from trial.learning.learner import Learner
from trial.learning.losses import LOSSES
from trial.learning.optimizers import OPTIMIZERS
from trial.learning.param_groups import param_groups
from trial.learning.schedules import SCHEDULES
from trial.models import factory
from trial.models.heads import HEADS
from trial.origin import origin
from trial.preprocessing import Preprocessing
from trial.record import RunWriter


class Start(NamedTuple):
    """What training starts from. `table`: all photos to train on; `pixels`: these, decoded; `fingerprint`: of
    the data."""

    task: Task
    table: pd.DataFrame
    network: nn.Module
    preprocessing: Preprocessing
    compute: Compute
    pixels: np.ndarray | Uncached
    fingerprint: str = ""


def start(config: TrialConfig, writer: RunWriter) -> Start:
    """Read the photos, build the network, decide the device, and record all of it in the run folder."""
    data_fingerprint = fingerprint(Path(config.data))
    task, table, errors = scan_train(Path(config.data), config.group)
    if errors := errors or task_errors(config, task):
        raise UsageError(errors)
    table = corrected(task, table, config.corrections)
    log_notes(table)
    torch.manual_seed(config.seed)
    network, preprocessing = build(config, task)
    compute = decide(network, config.device, config.precision, config.threads, config.workers)
    counts = np.bincount(table["label"], minlength=task.n_classes).tolist()
    writer.origin(origin(data_fingerprint, config.seed, compute) | {"class_counts": counts})
    writer.preprocessing(preprocessing)
    writer.task(task)
    pixels = batches.shared_pixels(table, preprocessing, config.cache_limit)
    return Start(task, table, network, preprocessing, compute, pixels, data_fingerprint)


def build(config: TrialConfig, task: Task) -> tuple[nn.Module, Preprocessing]:
    """The network of `config` for `task`, and the preprocessing of its photos; as `factory.build`."""
    head = config.head.build(HEADS, task)
    return factory.build(config.model, config.weights, head, task.n_classes, config.image_size, config.crop)


def training(
    config: TrialConfig,
    start: Start,
    network: nn.Module,
    photos: pd.DataFrame,
    state: Mapping[str, Any] | None = None,
) -> Training:
    """The parts that train `network` on `photos`, rows of `start.table`, after the epochs of `state`
    (`Training.state`), if there is one. Moves `network` to the device.

    UsageError if `borders` leaves no photo.
    """
    photos = config.copies.build(COPIES, start.task)(config.borders.build(BORDERS)(photos))
    if photos.empty:
        raise UsageError(f"borders={config.borders} leaves no photo to learn from; narrow what it drops")
    done = state["epoch"] if state else 0
    train, class_counts = batches.training(
        batches.Photos(photos, start.preprocessing, start.pixels, config.augment, config.seed),
        config.batch_size,
        start.compute.workers,
        config.sampler.build(SAMPLERS),
        start.task.n_classes,
        done,
    )
    forward = Forward(
        config.loss.build(LOSSES, torch.as_tensor(class_counts)),
        config.augment,
        config.mixing.build(MIXINGS, start.task),
        start.preprocessing,
        start.compute,
        config.seed,
    )
    start.compute.place(network)
    groups = param_groups(network, config.layer_decay, config.weight_decay)
    optimizer = config.optimizer.build(OPTIMIZERS, groups, config.learning_rate, config.weight_decay)
    training = Training(
        network=network,
        train=train,
        forward=forward,
        learner=Learner(network, optimizer, start.compute, config.clip_norm),
        learning_rate=config.learning_rate,
        schedule=config.schedule.build(SCHEDULES, config.epochs),
        freeze=config.freeze.build(FREEZES),
        epochs=config.epochs,
        seed=config.seed,
        accumulate=config.accumulate,
        average=Average(network, config.ema) if config.ema else None,
        compile=config.compile,
        done=done,
    )
    if state:
        training.load(state)
    return training
