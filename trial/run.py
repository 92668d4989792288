"""One trial, from config to run folder: split, train, record."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pandas as pd
import torch

from trial import recipe
from trial.config import TrialConfig
from trial.fit import fit
from trial.folds import Fold, Patience
from trial.metrics import column_of
from trial.process.ranks import ALONE, Ranks
from trial.run_folder.checkpoint import Checkpoint
from trial.run_folder.record import RunWriter
from trial.run_folder.resume import Saver


@dataclass(frozen=True)
class Report:
    """The progress of a trial. `for_tuner`: the tuner gets `score`, which is by the config's metric; else the
    report is for people only.

    With several folds in lockstep there is a report after each epoch, its values means over the folds; one by
    one there is a report after each fold, over the best epochs of the folds done. `earlier`: of an epoch or
    fold that an earlier part of the run has trained.
    """

    done: str  # 'epoch 3/20'
    score: float
    macro_f1: float
    accuracy: float
    train_loss: float
    validation_loss: float
    seconds: float
    for_tuner: bool = True
    earlier: bool = False


OnReport = Callable[[Report], None]


def run(
    config: TrialConfig,
    writer: RunWriter,
    on_report: OnReport,
    checkpoint: Checkpoint | None = None,
    ranks: Ranks = ALONE,
) -> float:
    """Train `config` into the writer's folder, after the epochs of its `checkpoint`, if there is one. Returns
    the best epoch's score, by the config's metric, over all groups held out.

    With fold=all these are all groups, each predicted by the network that has not seen it (out of fold), and
    each fold has its own best epoch. `ranks`: the processes that train one network, all of which call this.
    """
    start = recipe.start(config, writer, ranks, holds_out=True)
    saver = Saver(writer, config.recipe(), start.fingerprint)
    numbers = config.fold_numbers
    if not config.reports_folds:
        _train(config, start, numbers, saver, on_report, checkpoint)
        return writer.score
    best: list[Mapping[str, float]] = []
    for number in numbers:
        finished = checkpoint is not None and number in checkpoint.finished
        if checkpoint and finished:
            best.append(checkpoint.best_row(number))
        else:
            report_fold = partial(_report_fold, on_report, f"fold {number}, ")
            best += _train(config, start, [number], saver, report_fold, checkpoint)
            if number != numbers[-1]:
                saver.save({}, {})
        report = _mean(f"fold {len(best)}/{len(numbers)}", best, config.metric)
        on_report(replace(report, earlier=finished))
    return writer.score


def _train(
    config: TrialConfig,
    start: recipe.Start,
    numbers: Sequence[int],
    saver: Saver,
    on_report: OnReport,
    checkpoint: Checkpoint | None,
) -> list[Mapping[str, float]]:
    """Train these folds in lockstep; return each fold's best epoch as a row of epochs.csv."""
    writer = saver.writer
    workers = -(-start.compute.workers // len(numbers))
    start = start._replace(compute=replace(start.compute, workers=workers))
    folds = [
        Fold(number, start.task, start.table, config.folds, config.seed, config.train_fraction, config.metric)
        for number in numbers
    ]
    running_before = checkpoint.running if checkpoint else {}
    states = {number: running_before[number] for number in numbers if number in running_before}
    trainings, running = [], []
    for fold in folds:
        network = start.network
        if fold.number not in (0, config.fold):  # each starts from the same weights
            torch.manual_seed(config.seed)
            network, _ = recipe.build(config, start.task)
        training = recipe.training(config, start, network, fold.train, states.get(fold.number))
        trainings.append(training)
        running.append(fit(training, recipe.validation(config, start, fold.validation)))
    patience = Patience(config.patience, config.patience_on)
    if checkpoint and states:
        patience.load(checkpoint.patience)
        for fold in folds:
            if fold.number in checkpoint.best:
                fold.best = checkpoint.best_row(fold.number)
        for report in _earlier([row for row in checkpoint.rows if row["fold"] in numbers], config):
            on_report(report)
    for epochs in () if patience.over else zip(*running, strict=True):
        for fold, training, epoch in zip(folds, trainings, epochs, strict=True):
            writer.note_memory(epoch.parts, epoch.device_bytes)
            writer.epoch({"fold": fold.number, **epoch.row()})
            if fold.keep_if_best(epoch):
                weights = training.whole(epoch.network)
                writer.best(fold.number, epoch.epoch, weights, fold.predictions(epoch))
        number, rows = epochs[0].epoch, [epoch.row() for epoch in epochs]
        report = _mean(f"epoch {number}/{config.epochs}", rows, config.metric)
        over = patience.step(report.score, report.validation_loss)
        last = over or number == config.epochs
        if (saver.is_due and not last) or (last and writer.keeps_checkpoint):
            trained = zip(folds, trainings, strict=True)
            saver.save({fold.number: training.state(number) for fold, training in trained}, patience.state())
        on_report(report)
        if over:
            break
    return [fold.best for fold in folds if fold.best]


def reports_of(epochs: pd.DataFrame, config: TrialConfig) -> list[Report]:
    """The reports for the tuner of a whole run with this epochs.csv."""
    rows = epochs.to_dict("records")
    if not config.reports_folds:
        return list(_earlier(rows, config))
    best = epochs.loc[epochs.groupby("fold")[column_of(config.metric)].idxmax()].to_dict("records")
    done = range(1, len(best) + 1)
    return [_mean(f"fold {number}/{len(best)}", best[:number], config.metric) for number in done]


def _earlier(rows: Sequence[Mapping[str, Any]], config: TrialConfig) -> Iterator[Report]:
    """The reports of epochs, from their rows in epochs.csv, of folds in lockstep."""
    for number, epoch in pd.DataFrame(rows).groupby("epoch"):
        report = _mean(f"epoch {number}/{config.epochs}", epoch.to_dict("records"), config.metric)
        yield replace(report, earlier=True)


def _report_fold(on_report: OnReport, fold: str, report: Report) -> None:
    """Report an epoch of one fold of several, for people only."""
    on_report(replace(report, done=fold + report.done, for_tuner=False))


def _mean(done: str, epochs: Sequence[Mapping[str, float]], metric: str) -> Report:
    rows = pd.DataFrame(epochs)
    mean = rows.mean()
    return Report(
        done, float(mean[column_of(metric)]), float(mean["macro_f1"]), float(mean["accuracy"]),
        float(mean["train_loss"]), float(mean["validation_loss"]), float(rows["seconds"].sum()),
    )  # fmt: skip
