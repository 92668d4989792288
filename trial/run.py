"""One trial from config to run folder: split, train, record."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import nn

from dataset.cache.arrays import Uncached
from dataset.fingerprint import fingerprint
from dataset.labels import N_CLASSES
from dataset.photos import read_train
from trial.compute import Compute, decide
from trial.config import TrialConfig
from trial.data import batches
from trial.data.preprocessing import Preprocessing
from trial.folds import Fold, Patience
from trial.models import factory
from trial.origin import origin
from trial.record import RunWriter


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
    network, preprocessing = factory.build(config)
    compute = decide(config, network)
    counts = np.bincount(table["label"], minlength=N_CLASSES).tolist()  # what an answer is held against
    writer.origin(origin(mark, config.seed, compute) | {"class_counts": counts})
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


Tell = Callable[[Report], None]


def run(config: TrialConfig, writer: RunWriter, on_report: Tell) -> float:
    """Train `config` into the writer's folder; its macro-F1: of the best epoch, over all validation people.

    With fold=all these are all people, each answered for by the network that has not seen them
    (out-of-fold), and each fold has its own best epoch.
    """
    begun = start(config, writer)
    numbers = list(range(config.folds)) if config.fold == "all" else [config.fold]
    if len(numbers) == 1 or config.fold_order == "lockstep":
        return _train(begun, config, numbers, writer, on_report)[0]
    macro_f1 = 0.0
    best: list[dict[str, float]] = []
    for number in numbers:
        told = partial(_tell, on_report, f"fold {number}, ")
        macro_f1, rows = _train(begun, config, [number], writer, told)
        best += rows
        on_report(_mean(f"fold {len(best)}/{len(numbers)}", best))
    return macro_f1


def _train(
    begun: Start, config: TrialConfig, numbers: list[int], writer: RunWriter, on_report: Tell
) -> tuple[float, list[dict[str, float]]]:
    """These folds in lock-step: (the run's macro-F1 so far, each fold's best epoch as a row)."""
    compute = replace(begun.compute, workers=-(-begun.compute.workers // len(numbers)))
    folds = [Fold(number, begun.table, config) for number in numbers]
    networks = [begun.network if number in (0, config.fold) else _network(config) for number in numbers]
    trained = [
        fold.train(network, begun.preprocessing, compute, begun.pixels)
        for fold, network in zip(folds, networks, strict=True)
    ]
    patience, macro_f1 = Patience(config), 0.0
    for epochs in zip(*trained, strict=True):
        for fold, epoch in zip(folds, epochs, strict=True):
            writer.epoch({"fold": fold.number, **epoch.row()})
            if fold.keep_if_best(epoch):
                weights = epoch.network.state_dict()
                macro_f1 = writer.best(fold.number, epoch.epoch, weights, fold.answers(epoch))
        report = _mean(f"epoch {epochs[0].epoch}/{config.epochs}", [epoch.row() for epoch in epochs])
        on_report(report)
        if patience.is_over_after(report.macro_f1, report.validation_loss):
            break
    return macro_f1, [fold.best.row() for fold in folds if fold.best]


def _tell(on_report: Tell, fold: str, report: Report) -> None:
    """An epoch of one fold of several, for people alone."""
    on_report(replace(report, done=fold + report.done, heard=False))


def _network(config: TrialConfig) -> nn.Module:
    torch.manual_seed(config.seed)
    return factory.build(config)[0]


def _mean(done: str, epochs: Sequence[dict[str, float]]) -> Report:
    rows = pd.DataFrame(epochs)
    mean = rows.mean()
    return Report(
        done, float(mean["macro_f1"]), float(mean["accuracy"]), float(mean["train_loss"]),
        float(mean["validation_loss"]), float(rows["seconds"].sum()),
    )  # fmt: skip
