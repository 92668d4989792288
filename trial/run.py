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
from trial.record import RunWriter


@dataclass(frozen=True)
class Report:
    """The progress of a trial. `for_tuner`: the tuner gets `macro_f1`; else the report is for people only.

    With several folds in lockstep there is a report after each epoch, its values means over the folds; one by
    one there is a report after each fold, over the best epochs of the folds done.
    """

    done: str  # 'epoch 3/20'
    macro_f1: float
    accuracy: float
    train_loss: float
    validation_loss: float
    seconds: float
    for_tuner: bool = True


OnReport = Callable[[Report], None]


def run(config: TrialConfig, writer: RunWriter, on_report: OnReport) -> float:
    """Train `config` into the writer's folder. Returns the best epoch's macro-F1 over all validation people.

    With fold=all these are all people, each predicted by the network that has not seen them (out of fold),
    and each fold has its own best epoch.
    """
    start = recipe.start(config, writer)
    numbers = list(range(config.folds)) if config.fold == "all" else [config.fold]
    if len(numbers) == 1 or config.fold_order == "lockstep":
        return _train(config, start, numbers, writer, on_report)[0]
    macro_f1 = 0.0
    best: list[dict[str, float]] = []
    for number in numbers:
        report_fold = partial(_report_fold, on_report, f"fold {number}, ")
        macro_f1, rows = _train(config, start, [number], writer, report_fold)
        best += rows
        on_report(_mean(f"fold {len(best)}/{len(numbers)}", best))
    return macro_f1


def _train(
    config: TrialConfig, start: recipe.Start, numbers: list[int], writer: RunWriter, on_report: OnReport
) -> tuple[float, list[dict[str, float]]]:
    """Train these folds in lockstep: (the run's macro-F1 so far, each fold's best epoch as a row)."""
    workers = -(-start.compute.workers // len(numbers))
    start = start._replace(compute=replace(start.compute, workers=workers))
    folds = [
        Fold(number, start.task, start.table, config.folds, config.seed, config.train_fraction) for number in numbers
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
    patience, macro_f1 = Patience(config.patience, config.patience_on), 0.0
    for epochs in zip(*running, strict=True):
        for fold, epoch in zip(folds, epochs, strict=True):
            writer.epoch({"fold": fold.number, **epoch.row()})
            if fold.keep_if_best(epoch):
                weights = epoch.network.state_dict()
                macro_f1 = writer.best(fold.number, epoch.epoch, weights, fold.predictions(epoch))
        report = _mean(f"epoch {epochs[0].epoch}/{config.epochs}", [epoch.row() for epoch in epochs])
        on_report(report)
        if patience.step(report.macro_f1, report.validation_loss):
            break
    return macro_f1, [fold.best.row() for fold in folds if fold.best]


def _report_fold(on_report: OnReport, fold: str, report: Report) -> None:
    """Report an epoch of one fold of several, for people only."""
    on_report(replace(report, done=fold + report.done, for_tuner=False))


def _mean(done: str, epochs: Sequence[dict[str, float]]) -> Report:
    rows = pd.DataFrame(epochs)
    mean = rows.mean()
    return Report(
        done, float(mean["macro_f1"]), float(mean["accuracy"]), float(mean["train_loss"]),
        float(mean["validation_loss"]), float(rows["seconds"].sum()),
    )  # fmt: skip
