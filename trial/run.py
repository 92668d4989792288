"""One trial, from config to run folder: split, train, record."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import pandas as pd
import torch

from trial import recipe
from trial.config import TrialConfig
from trial.data import batches
from trial.fit import fit
from trial.folds import Fold, Patience
from trial.metrics import column_of
from trial.record import RunWriter


@dataclass(frozen=True)
class Report:
    """The progress of a trial. `for_tuner`: the tuner gets `score`, which is by the config's metric; else the
    report is for people only.

    With several folds in lockstep there is a report after each epoch, its values means over the folds; one by
    one there is a report after each fold, over the best epochs of the folds done.
    """

    done: str  # 'epoch 3/20'
    score: float
    macro_f1: float
    accuracy: float
    train_loss: float
    validation_loss: float
    seconds: float
    for_tuner: bool = True


OnReport = Callable[[Report], None]


def run(config: TrialConfig, writer: RunWriter, on_report: OnReport) -> float:
    """Train `config` into the writer's folder. Returns the best epoch's score, by the config's metric, over
    all groups held out.

    With fold=all these are all groups, each predicted by the network that has not seen it (out of fold), and
    each fold has its own best epoch.
    """
    start = recipe.start(config, writer)
    numbers = list(range(config.folds)) if config.fold == "all" else [config.fold]
    if len(numbers) == 1 or config.fold_order == "lockstep":
        return _train(config, start, numbers, writer, on_report)[0]
    score = 0.0
    best: list[dict[str, float]] = []
    for number in numbers:
        report_fold = partial(_report_fold, on_report, f"fold {number}, ")
        score, rows = _train(config, start, [number], writer, report_fold)
        best += rows
        on_report(_mean(f"fold {len(best)}/{len(numbers)}", best, config.metric))
    return score


def _train(
    config: TrialConfig, start: recipe.Start, numbers: list[int], writer: RunWriter, on_report: OnReport
) -> tuple[float, list[dict[str, float]]]:
    """Train these folds in lockstep: (the run's score so far, each fold's best epoch as a row)."""
    workers = -(-start.compute.workers // len(numbers))
    start = start._replace(compute=replace(start.compute, workers=workers))
    folds = [
        Fold(number, start.task, start.table, config.folds, config.seed, config.train_fraction, config.metric)
        for number in numbers
    ]
    running = []
    for fold in folds:
        network = start.network
        if fold.number not in (0, config.fold):  # each starts from the same weights
            torch.manual_seed(config.seed)
            network, _ = recipe.build(config, start.task)
        photos = batches.Photos(fold.validation, start.preprocessing, start.pixels)
        validation = batches.loader(photos, batches.EVALUATION_FACTOR * config.batch_size)
        running.append(fit(recipe.training(config, start, network, fold.train), validation))
    patience, score = Patience(config.patience, config.patience_on), 0.0
    for epochs in zip(*running, strict=True):
        for fold, epoch in zip(folds, epochs, strict=True):
            writer.epoch({"fold": fold.number, **epoch.row()})
            if fold.keep_if_best(epoch):
                weights = epoch.network.state_dict()
                score = writer.best(fold.number, epoch.epoch, weights, fold.predictions(epoch))
        rows = [epoch.row() for epoch in epochs]
        report = _mean(f"epoch {epochs[0].epoch}/{config.epochs}", rows, config.metric)
        on_report(report)
        if patience.step(report.score, report.validation_loss):
            break
    return score, [fold.best.row() for fold in folds if fold.best]


def _report_fold(on_report: OnReport, fold: str, report: Report) -> None:
    """Report an epoch of one fold of several, for people only."""
    on_report(replace(report, done=fold + report.done, for_tuner=False))


def _mean(done: str, epochs: Sequence[dict[str, float]], metric: str) -> Report:
    rows = pd.DataFrame(epochs)
    mean = rows.mean()
    return Report(
        done, float(mean[column_of(metric)]), float(mean["macro_f1"]), float(mean["accuracy"]),
        float(mean["train_loss"]), float(mean["validation_loss"]), float(rows["seconds"].sum()),
    )  # fmt: skip
