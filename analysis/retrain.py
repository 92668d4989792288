"""A recipe -> a network trained on all groups, with none held out.

`python -m analysis.retrain JSON` is what `retrain_on_gpus` starts.
"""

import json
import logging
import sys
from contextlib import nullcontext
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from common.errors import exit_on_usage_error
from common.log import output_of
from common.machine import cores
from common.progress import track
from common.text import fixed_text
from dataset.task import Task
from trial import recipe
from trial.config import TrialConfig, parse
from trial.fit import fit
from trial.process.ranks import ALONE, Ranks, following, run_ranks, started_as
from trial.run_folder.checkpoint import CHECKPOINT
from trial.run_folder.record import RunFolder, RunWriter, Unrecorded
from trial.run_folder.resume import Saver, read

output = output_of(__name__)
logger = logging.getLogger(__name__)

_WHY = {
    False: "the epoch whose validation score, averaged with its neighbours', was best",
    True: "the epoch whose validation score, averaged over the folds and with its neighbours', was best",
}


def rule(config: TrialConfig, stop_after: int, average: int, task: Task) -> dict[str, Any]:
    """How the network is trained on all groups, for submission.json."""
    more = f", and photos to predict with the classes of {config.pseudo_labels}"
    return {
        "photos": f"all {task.groups} to train on, none held out{more if config.pseudo_labels else ''}",
        "schedule": f"plateau, by the training loss: there are no validation {task.groups}"
        if config.schedule.name == "plateau"
        else f"{config.schedule} over {config.epochs} epochs, as in the trial, by fraction of epochs",
        "stopped_after_epoch": stop_after,
        "why": "the last epoch" if stop_after >= config.epochs else _WHY[config.fold == "all"],
        "weights": "last" if average == 1 else f"mean of the last {average} epochs",
    }


def retrain(
    config: TrialConfig,
    out: Path,
    stop_after: int | None = None,
    average: int = 1,
    again: bool = False,
    ranks: Ranks = ALONE,
) -> dict[str, Any]:
    """Train `config` on all groups into the run folder `out`. Return the `rule` that was followed.

    The schedule is the trial's, by fraction of its epochs; training stops after epoch `stop_after` of it.
    `average`: save the mean of the weights of that many last epochs (1: those of the last epoch). A
    retraining that was stopped or killed in `out` goes on after its last checkpoint. `again`: `out` may hold
    an earlier try of the same; if that is done nothing is trained. `ranks`: the processes that train one
    network, all of which call this.
    """
    stop_after, average = _at_most(config.epochs, stop_after, average)
    config = replace(config, out=str(out), train_fraction=1.0)
    what = config.recipe() | {"stop_after": stop_after, "average": average}
    if again and RunFolder(out).status()["state"] == "done":
        (out / CHECKPOINT).unlink(missing_ok=True)  # killed right after it was done
        return rule(config, stop_after, average, RunFolder(out).task())
    checkpoint = read(out, what, config.data) if (out / CHECKPOINT).is_file() else None
    state = checkpoint.running[0] if checkpoint else None
    writer = Unrecorded() if ranks.rank else RunWriter(out, config, again=again, checkpoint=checkpoint)
    with writer:
        start = recipe.start(config, writer, ranks)
        training = recipe.training(config, start, start.network, start.table, state)
        saver = Saver(writer, what, start.fingerprint)
        kept: list[dict[str, Tensor]] = list(state["kept"]) if state else []
        if checkpoint:
            output.info(f"going on after {checkpoint.where}")
        shown = track(training.train, f"retraining, epoch {training.done + 1}/{stop_after}", "batches")
        for epoch in islice(fit(replace(training, train=shown)), stop_after - training.done):
            shown.label = f"retraining, epoch {epoch.epoch + 1}/{stop_after}"
            writer.note_memory(epoch.parts, epoch.device_bytes)
            writer.epoch(epoch.row())
            output.info(
                f"retraining on all {start.task.groups}: epoch {epoch.epoch}/{stop_after}  "
                f"loss {fixed_text(epoch.train_loss, 4)}  {epoch.seconds:.1f} s"
            )
            if epoch.epoch > stop_after - average:
                kept.append(
                    {
                        key: tensor.detach().cpu().clone()
                        for key, tensor in training.whole(epoch.network).items()
                    }
                )
            if saver.is_due and epoch.epoch < stop_after:
                saver.save({0: training.state(epoch.epoch) | {"kept": kept}}, {})
        writer.weights(mean(kept))
    return rule(config, stop_after, average, start.task)


def retrain_on_gpus(
    gpus: int, config: TrialConfig, out: Path, stop_after: int | None, average: int, again: bool
) -> dict[str, Any]:
    """As `retrain`, by a process on each of `gpus` GPUs, or with device=cpu by this number of processes on
    the CPU. SystemExit(1) if one of them fails: it has shown its error."""
    given = [config.to_json(), str(out), stop_after, average, again]
    threads = config.threads or max(1, cores() // gpus)
    if run_ranks(gpus, ["-m", "analysis.retrain", json.dumps(given)], threads):
        logger.warning(
            f"retraining by {gpus} processes failed, see above; the same command goes on after its last "
            "checkpoint"
        )
        raise SystemExit(1)
    return rule(config, *_at_most(config.epochs, stop_after, average), RunFolder(out).task())


def _at_most(epochs: int, stop_after: int | None, average: int) -> tuple[int, int]:
    """`stop_after` and `average` of a training of this number of epochs."""
    stop_after = min(stop_after or epochs, epochs)
    return stop_after, min(average, stop_after)


@exit_on_usage_error()
def _main() -> None:
    config, out, stop_after, average, again = json.loads(sys.argv[1])
    ranks = started_as()
    with following() if ranks.rank else nullcontext():
        ranks.join()
        retrain(parse(config), Path(out), stop_after, average, again, ranks)
        ranks.leave()


def mean(states: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The mean of several state dicts; integers (counters) are taken from the last one."""
    last = states[-1]
    return {
        key: torch.stack([state[key] for state in states]).mean(0) if value.is_floating_point() else value
        for key, value in last.items()
    }


if __name__ == "__main__":
    _main()
