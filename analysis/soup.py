"""A greedy soup: the mean of several runs' weights (Wortsman and others 2022), one network as fast as each.

Means of weights make sense only along a valley of the loss: between runs that were fine-tuned from the same
pretrained weights.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors.torch import load_file
from torch import Tensor, nn

from analysis.predict.trained import Trained, load
from analysis.predict.validation import predict_validation
from analysis.retrain import mean
from analysis.trials.flatten import flat
from analysis.trials.table import SOUP
from analysis.trust.answers import Answers, answers_of, counts_of, differing, read_all
from analysis.trust.leaders import promise_facts, promise_of, promised_words
from analysis.trust.selection import select
from common.errors import UsageError, all_at_once, errors_of
from common.files import folder_atomic, only_writer_of_out, refuse_taken
from common.log import output_of
from common.text import counted
from trial.config import TrialConfig
from trial.metrics import METRICS, column_of, title_of
from trial.run_folder.predictions import scores_of
from trial.run_folder.record import RunFolder, RunWriter

output = output_of(__name__)

SAME = ("model", "join", "weights", "head", "fold", "folds", "group")  # fields of the recipe
NO_WEIGHTS = "head.dropout"  # may differ: networks are the same


@only_writer_of_out
def soup(runs: Sequence[Path], data: Path, out: Path) -> list[Path]:
    """Write the run folder `out` with the mean of the weights of some of the run folders `runs`, and return
    these. The one with the best validation score is in it. Each further one, in the order of their scores,
    joins if the score of the mean rises with it, on the validation photos, which are in `data`. What the mean
    promises, corrected for the choice among runs and means, is kept in its origin.json.

    Runs with a network per fold are averaged fold by fold. UsageError, before anything is predicted, if the
    runs have no common start, differ in their networks or preprocessing, or have other validation photos.
    """
    _refuse(runs, out)
    answers, *trained = all_at_once(lambda: read_all(runs), *(partial(load, run) for run in runs))
    folders = [RunFolder(run) for run in runs]
    configs = [folder.config() for folder in folders]
    if errors := _differences(runs, configs, trained, answers):
        raise UsageError(errors)
    metric = configs[0].metric
    score = METRICS[metric]
    own = [score(scores_of(folder.validation())) for folder in folders]
    order = sorted(range(len(runs)), key=lambda number: -own[number])
    states = [[load_file(path) for path in folder.weights_files()] for folder in folders]
    first = order[0]
    taken, best, table = [first], own[first], folders[first].validation()
    weights, tried = states[first], list(answers)
    output.info(f"{runs[first]}: {title_of(metric)} {best:.4f}")
    for number in order[1:]:
        both = [mean([states[one][fold] for one in (*taken, number)]) for fold in range(len(weights))]
        answered = predict_validation(runs[first], _with(trained[first], both), data, "none")
        reached = score(scores_of(answered))
        tried.append(answers_of(answered, str(runs[number])))
        rises = reached > best
        output.info(f"with {runs[number]}: {reached:.4f}, {'kept' if rises else 'left out'}")
        if rises:
            taken, best, table, weights = [*taken, number], reached, answered, both
    members = [runs[number] for number in taken]
    found = select(counts_of(tried), metric)
    # Runs are flattered by the choice of their epochs, too, and a mean of their weights as much as they are.
    by_epochs = float(np.mean([own[one] - _promised(runs[one], metric, own[one]) for one in taken]))
    promised = found.promise.moved(-by_epochs, metric)
    promise = promise_of(promised, metric, len(tried), found.flattered + by_epochs)
    means = f"{counted(len(tried) - len(runs), 'mean')} of weights"
    promise |= {"choice": f"the best of {len(runs)} runs, at the best of their epochs, and {means}"}
    _write(out, configs[first], folders[first], members, promise, weights, table)
    words = promised_words(promise, metric, trained[first].task.groups)
    output.info(f"soup of {len(taken)} of {len(runs)} runs promises {words}")
    return members


def _promised(run: Path, metric: str, score: float) -> float:
    """What a run promises alone; its `score` if that is not known."""
    return float(promise_facts(run, metric).get("promise", {}).get(column_of(metric), score))


def _refuse(runs: Sequence[Path], out: Path) -> None:
    errors = errors_of(refuse_taken, out)
    if len({run.resolve() for run in runs}) < max(2, len(runs)):
        errors.append(f"a soup needs 2 different runs or more, not {', '.join(map(str, runs))}")
    if errors:
        raise UsageError(errors)


def _differences(
    runs: Sequence[Path],
    configs: Sequence[TrialConfig],
    trained: Sequence[Trained],
    answers: Sequence[Answers],
) -> list[str]:
    """What keeps the runs from being averaged."""
    errors = [
        f"{run}: was trained from random weights (weights={config.weights}); the weights of two such runs "
        "have nothing in common, so their mean is no network: use python -m analysis ensemble"
        for run, config in zip(runs, configs, strict=True)
        if "none" in config.weights.split("+")  # of a joint network, a source for each part
    ]  # fmt: skip
    for run, config, network, own in zip(runs[1:], configs[1:], trained[1:], answers[1:], strict=True):
        mine, its = flat(configs[0]), flat(config)
        for name in mine:  # a parameter of another head is told by the head
            same = name.partition(".")[0] in SAME and name != NO_WEIGHTS
            if same and its.get(name, mine[name]) != mine[name]:
                errors.append(
                    f"{run}: has {name}={its[name]}, {runs[0]} {name}={mine[name]}; a soup needs the same"
                )
        if config.trains_on_features != configs[0].trains_on_features:
            # Of networks that share a frozen backbone only the first one's is asked.
            errors.append(
                f"{run}: has features={config.features}, {runs[0]} features={configs[0].features}; a soup "
                "needs the same"
            )
        if network.preprocessing != trained[0].preprocessing:
            errors.append(
                f"{run}: prepares photos otherwise than {runs[0]} (image_size, crop); a soup needs the same"
            )
        if words := differing(answers[0], own):
            errors.append(f"{own.source}: {words}; a soup is chosen on validation photos that all runs share")
        elif other := _in_other_folds(runs[0], run):
            errors.append(
                f"{run}: holds {other:,} photos out in other folds than {runs[0]} (seed, corrections); a "
                "mean of their networks would be validated on photos that it was trained on: use python -m "
                "analysis ensemble, or train them with the same folds"
            )
    return errors


def _in_other_folds(one: Path, other: Path) -> int:
    """How many of the photos on which both runs were validated are not of the same fold."""
    mine, its = (RunFolder(run).validation().set_index("photo")["fold"] for run in (one, other))
    return int((its != mine[its.index]).sum())


def _with(trained: Trained, weights: Sequence[dict[str, Tensor]]) -> Trained:
    """The same networks with these weights, one state dict for each."""
    networks: list[nn.Module] = [copy.deepcopy(network) for network in trained.networks]
    for network, state in zip(networks, weights, strict=True):
        network.load_state_dict(state)
    return replace(trained, networks=networks)


def _write(
    out: Path, config: TrialConfig, first: RunFolder, members: Sequence[Path], promise: Mapping[str, Any],
    weights: Sequence[dict[str, Tensor]], table: pd.DataFrame,
) -> None:  # fmt: skip
    with folder_atomic(out) as part, RunWriter(part, replace(config, out=str(out))) as writer:
        writer.task(first.task())
        writer.preprocessing(first.preprocessing())
        writer.origin(first.origin() | {SOUP: [str(run) for run in members], "promise": dict(promise)})
        epoch = first.status()["best_epoch"]
        for (fold, answered), state in zip(table.groupby("fold"), weights, strict=True):
            writer.best(int(fold), epoch, state, answered)
