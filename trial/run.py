"""One trial from config to run folder: split, train, record."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import nn

from dataset.cache import Uncached
from dataset.fingerprint import fingerprint
from dataset.photos import read_train
from trial import batches, models
from trial.compute import Compute, decide
from trial.config import TrialConfig
from trial.folds import Fold, Patience
from trial.origin import origin
from trial.record import RunWriter
from trial.transforms import Preprocessing


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


@dataclass(frozen=True)
class Report:
    """How far a trial is. `heard`: the tuner is told `macro_f1`; else it is for people alone.

    In lock-step all numbers are means over the folds, after each epoch. One by one, after each
    fold, over the best epochs of those done.
    """

    done: str  # 'epoch 3/20'
    macro_f1: float
    accuracy: float
    train_loss: float
    validation_loss: float
    seconds: float
    heard: bool = True


def run(config: TrialConfig, writer: RunWriter, on_report: Callable[[Report], None]) -> float:
    """Train `config` into the writer's folder; its macro-F1: of the best epoch, over all validation people.

    With fold=all these are all people, each answered for by the network that has not seen them
    (out-of-fold), and each fold has its own best epoch.
    """
    begun = start(config, writer)
    numbers = list(range(config.folds)) if config.fold == "all" else [config.fold]
    one_by_one = len(numbers) > 1 and config.fold_order == "one_by_one"
    macro_f1 = 0.0
    best: list[dict[str, float]] = []  # the rows alone: an epoch holds its network
    for group in [[number] for number in numbers] if one_by_one else [numbers]:
        folds = [Fold(number, begun.table, config) for number in group]
        networks = [begun.network if number == numbers[0] else _network(config) for number in group]
        trained = [
            fold.train(network, begun.preprocessing, begun.compute, begun.pixels)
            for fold, network in zip(folds, networks, strict=True)
        ]
        patience = Patience(config)
        for epochs in zip(*trained, strict=True):
            for fold, epoch in zip(folds, epochs, strict=True):
                writer.epoch({"fold": fold.number, **epoch.row()})
                if fold.improves(epoch):
                    alone = len(numbers) == 1
                    weights = epoch.network.state_dict()
                    macro_f1 = writer.best(fold.number, epoch.epoch, weights, fold.answers(epoch), alone)
            which = f"fold {group[0]}, " if one_by_one else ""
            rows = [epoch.row() for epoch in epochs]
            report = _mean(f"{which}epoch {epochs[0].epoch}/{config.epochs}", rows, heard=not one_by_one)
            on_report(report)
            if patience.is_over(report.macro_f1, report.validation_loss):
                break
        if one_by_one:
            best += [fold.best.row() for fold in folds if fold.best]
            on_report(_mean(f"fold {len(best)}/{len(numbers)}", best, heard=True))
    return macro_f1


def _network(config: TrialConfig) -> nn.Module:
    torch.manual_seed(config.seed)
    return models.build(config)[0]


def _mean(done: str, epochs: Sequence[dict[str, float]], heard: bool) -> Report:
    rows = pd.DataFrame(epochs)
    mean = rows.mean()
    return Report(
        done, float(mean["macro_f1"]), float(mean["accuracy"]), float(mean["train_loss"]),
        float(mean["validation_loss"]), float(rows["seconds"].sum()), heard,
    )  # fmt: skip
