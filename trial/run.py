"""One trial from config to run folder: split, train, record."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import nn

from dataset.cache import Uncached
from dataset.fingerprint import fingerprint
from dataset.labels import N_CLASSES
from dataset.photos import read_train
from dataset.split import absent_classes, share_of, split
from trial import batches, models
from trial.compute import Compute, decide
from trial.config import TrialConfig
from trial.fit import Epoch, fit
from trial.origin import origin
from trial.record import RunWriter
from trial.transforms import Preprocessing

PROBABILITIES = [f"p{label:02d}" for label in range(N_CLASSES)]


class Start(NamedTuple):
    """What training starts from. `table`: all photos of train/; `pixels`: these, decoded."""

    table: pd.DataFrame
    network: nn.Module
    preprocessing: Preprocessing
    compute: Compute
    pixels: np.ndarray | Uncached


def start(config: TrialConfig, writer: RunWriter) -> Start:
    """Photos, network and device of `config`, as the writer's folder is told."""
    mark = fingerprint(Path(config.data))
    table = read_train(Path(config.data), config.corrections or None)
    torch.manual_seed(config.seed)
    network, preprocessing = models.build(config)
    compute = decide(config, network)
    writer.origin(origin(mark, config.seed, compute))
    writer.preprocessing(preprocessing)
    pixels = batches.shared_pixels(table, preprocessing, config)
    return Start(table, network, preprocessing, compute, pixels)


def run(config: TrialConfig, writer: RunWriter, on_epoch: Callable[[Epoch], None]) -> float:
    """Train `config` into the writer's folder; the best epoch's macro-F1. `on_epoch` hears each epoch."""
    table, network, preprocessing, compute, pixels = start(config, writer)
    train, validation = split(table, config.fold, config.folds, config.seed)
    train = share_of(train, config.train_share, config.seed)
    for side, photos in (("training", train), ("validation", validation)):
        if absent := absent_classes(photos):
            print(f"{side} lacks {len(absent)} classes, counted as 0: {', '.join(absent)}", file=sys.stderr)

    learn = batches.Photos(train, preprocessing, pixels, config.augment, config.seed)
    check = batches.Photos(validation, preprocessing, pixels)
    epochs = fit(
        network,
        preprocessing,
        config,
        compute,
        np.bincount(train["label"], minlength=N_CLASSES),
        batches.loader(learn, config.batch_size, compute.workers, shuffle=True),
        batches.loader(check, batches.EVALUATED * config.batch_size),
    )
    best, best_epoch = -1.0, 0
    for epoch in epochs:
        writer.epoch(epoch.row())
        assert epoch.scores is not None and epoch.probabilities is not None
        if epoch.scores.macro_f1 > best:
            best, best_epoch = epoch.scores.macro_f1, epoch.epoch
            answers = validation[["photo", "person", "label"]].assign(fold=config.fold)
            answers = answers[["photo", "person", "fold", "label"]].reset_index(drop=True)
            probabilities = pd.DataFrame(epoch.probabilities, columns=PROBABILITIES)
            writer.best(best_epoch, best, network.state_dict(), answers.join(probabilities))
        on_epoch(epoch)
        if config.patience and epoch.epoch - best_epoch >= config.patience:
            break
    return best
