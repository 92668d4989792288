"""Going on with a stopped or killed run: its checkpoints are written here, and refused if they don't fit."""

import logging
import math
import os
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from common.errors import UsageError
from common.files import write_atomic
from dataset.fingerprint import fingerprint
from trial.config import PLACES, TrialConfig, parse
from trial.learning.schedules import OPEN_ENDED
from trial.metrics import METRICS, column_of
from trial.models.weights import hashes
from trial.run_folder.checkpoint import CHECKPOINT, Checkpoint, load
from trial.run_folder.origin import label_files
from trial.run_folder.predictions import scores_of
from trial.run_folder.record import EPOCHS, OF_FOLDS, VALIDATION, WEIGHTS, RunFolder, RunWriter

logger = logging.getLogger(__name__)
MAX_TIME = 0.05  # the fraction of the time that writing checkpoints may take
COPIED = ("task.json", "preprocessing.json", "origin.json", EPOCHS, VALIDATION)
KEEP = "--keep-checkpoint"
OTHER_DATA = (
    "a file's size, time or name differs; put them back (copies that keep the times are made by cp -a or "
    "rsync -a)"
)
PATIENCE = "{folder}: is done; patience={patience} ended it after epoch {epoch}"


class Saver:
    """Writes the checkpoints of a run, one file that is replaced.

    If that took more than MAX_TIME of the time it writes less often: the last epochs are then trained again,
    which takes as long as twenty writes at most.
    """

    def __init__(self, writer: RunWriter, recipe: dict[str, Any], data_fingerprint: str):
        self.writer, self.recipe, self.fingerprint = writer, recipe, data_fingerprint
        self._ended, self._took = 0.0, 0.0  # of the last write

    @property
    def is_due(self) -> bool:
        """Whether to write one after this epoch."""
        return time.perf_counter() - self._ended >= self._took / MAX_TIME

    def save(self, running: Mapping[int, Mapping[str, Any]], patience: Mapping[str, Any]) -> None:
        """Write what the writer has recorded and what is running (see Checkpoint). A warning, if the disk is
        full, say: the last checkpoint stays."""
        import torch

        began = time.perf_counter()
        writer = self.writer
        checkpoint = Checkpoint(
            self.recipe, self.fingerprint, str(torch.__version__), writer.started,
            [{name: _plain(value) for name, value in row.items()} for row in writer.rows],
            writer.best_epochs, dict(running), dict(patience),
        )  # fmt: skip
        try:
            writer.checkpoint(checkpoint)
        except (OSError, RuntimeError) as error:
            logger.warning(f"WARNING: no checkpoint could be written: {error}")
        self._ended = time.perf_counter()
        self._took = self._ended - began


def read(folder: Path, recipe: Mapping[str, Any], data: str, longer: bool = False) -> Checkpoint:
    """The checkpoint in the run folder, from which `recipe` can go on, with `longer` for more epochs, on the
    photos in the folder `data`. UsageError if it can't, and why; a warning if the version of torch is another
    one."""
    import torch

    path = folder / CHECKPOINT
    if not path.is_file():
        raise UsageError(f"{folder} holds no checkpoint: it ended before the end of its first epoch")
    checkpoint = load(path)
    if lost := _lost(RunFolder(folder), checkpoint):
        raise UsageError(f"{folder}: can't go on, {lost} is missing or damaged")
    then = TrialConfig().recipe() | checkpoint.recipe  # a field that came later has its default
    if differing := differences(then, recipe, longer):
        raise UsageError(f"{path}: is of another recipe, which differs in {', '.join(differing)}")
    if other := other_data(RunFolder(folder), recipe, data, checkpoint.fingerprint):
        raise UsageError(f"{folder}: {other}")
    if _other_weights(RunFolder(folder), recipe):
        raise UsageError(
            f"{folder}: was trained on features of other weights than weights={recipe['weights']} has now; "
            "put back that file"
        )
    if checkpoint.torch != str(torch.__version__):
        logger.warning(
            f"WARNING: {folder} was trained with torch {checkpoint.torch}, and goes on with "
            f"{torch.__version__}: its curve may differ from one without a break"
        )
    return _with_own_best(RunFolder(folder), checkpoint, then["metric"])


def _with_own_best(run: RunFolder, checkpoint: Checkpoint, metric: str) -> Checkpoint:
    """The checkpoint without the best epochs of folds whose predictions are of a later epoch: the run was
    killed between these and its next checkpoint. That epoch may come out otherwise now, on another device,
    and is then no epoch of this run; if not, it is the best again."""
    if not checkpoint.best:
        return checkpoint
    answers = run.validation()
    best = {
        fold: epoch
        for fold, epoch in checkpoint.best.items()
        if math.isclose(
            METRICS[metric](scores_of(answers[answers["fold"] == fold])),
            checkpoint.best_row(fold)[column_of(metric)],
            rel_tol=1e-6,
        )
    }
    return replace(checkpoint, best=best)


def other_data(run: RunFolder, recipe: Mapping[str, Any], data: str, then: str = "", now: str = "") -> str:
    """Why the photos in the folder `data`, or the files of labels that the recipe names, are no longer those
    of the run; '' if they are. `then`: the fingerprint of its photos; default: the one in its origin.json.
    `now`: that of `data`, if the caller has it."""
    if (then or run.origin()["data_fingerprint"]) != (now or fingerprint(Path(data))):
        return f"was trained on other data than {data} holds now: {OTHER_DATA}"
    if changed := _changed_labels(run, recipe):
        return f"was trained with other labels than {changed} holds now; put back what it held"
    return ""


def _changed_labels(run: RunFolder, recipe: Mapping[str, Any]) -> str:
    """The file of labels or the teacher's run that the recipe names, if it has changed since the run began:
    other labels deal other folds, and groups that were trained on would validate. '' if none has."""
    then = now = label_files(recipe)
    with suppress(FileNotFoundError, UsageError):  # nor did earlier versions record it
        then = now | run.origin().get("label_files", {})
    return next((str(recipe.get(field, field)) for field in now if now[field] != then[field]), "")


def _other_weights(run: RunFolder, recipe: Mapping[str, Any]) -> bool:
    """Whether the weights of a frozen network have changed since the run began: no checkpoint holds them."""
    with suppress(FileNotFoundError, UsageError):
        if (then := run.origin().get("start_weights")) is not None:  # of features=cached only
            return bool(then != hashes(recipe["model"], recipe["weights"]))
    return False


def _lost(run: RunFolder, checkpoint: Checkpoint) -> str:
    """The file of a run that doesn't have what its checkpoint stands on; '' if all is there."""
    name = "task.json"
    try:
        run.task()
        if checkpoint.best:
            name = VALIDATION
            if not set(checkpoint.best) <= set(run.validation()["fold"]):
                return name
            name = WEIGHTS if len(checkpoint.best) == 1 else OF_FOLDS
            if len(run.weights_files()) < len(checkpoint.best):
                return name
    except Exception:  # pyarrow has many
        return name
    return ""


def differences(one: Mapping[str, Any], other: Mapping[str, Any], longer: bool) -> list[str]:
    """The fields in which two recipes differ, but for the epochs if one may be `longer`."""
    names = [name for name in dict.fromkeys([*one, *other]) if not (longer and name == "epochs")]
    return [name for name in names if one.get(name) != other.get(name)]


def continued(folder: Path, values: Mapping[str, Any]) -> tuple[TrialConfig, Checkpoint]:
    """(The config, the checkpoint) with which the stopped or killed run in `folder` goes on. `values`: more
    epochs, if its schedule allows that, and PLACES. UsageError if it can't go on."""
    run = RunFolder(folder)
    if not (folder / "config.json").is_file():
        raise UsageError(f"{folder}: is not a run folder (it has no config.json)")
    status, old = run.status(), run.config()
    if (folder / EPOCHS).is_file() and not (folder / EPOCHS).read_bytes().startswith(b"fold,"):
        raise UsageError(f"{folder}: is a retraining; give the command that began it again, and it goes on")
    if status["state"] == "running":
        raise UsageError(f"{folder}: is still running (process {status['process']['pid']})")
    config = parse({**old.to_json(), **values, "out": str(folder)})
    if "out" in values:
        raise UsageError("out: a run goes on in its own folder; leave it out")
    if other := differences(old.recipe(), config.recipe(), longer=True):
        allowed = ", ".join(name for name in PLACES if name != "out")
        raise UsageError(
            f"{', '.join(other)}: --continue goes on with the same recipe; only epochs can be more, and "
            f"where it runs can differ ({allowed})"
        )
    done = status["state"] == "done"
    if done and status["epochs"] < old.epochs:
        raise UsageError(PATIENCE.format(folder=folder, patience=old.patience, epoch=status["epochs"]))
    if done and config.epochs == old.epochs:
        raise UsageError(f"{folder}: is done, after all its {old.epochs} epochs")
    if config.epochs < old.epochs:
        raise UsageError(f"epochs={config.epochs}: is less than the {old.epochs} of {folder}; give more")
    if config.epochs > old.epochs and old.schedule.name not in OPEN_ENDED:
        raise UsageError(
            f"epochs={config.epochs}: schedule={old.schedule.name} runs over all epochs, so the learning "
            f"rates so far would have been different; only {' and '.join(OPEN_ENDED)} can be trained longer"
        )
    if config.epochs > old.epochs and old.resizing.name != "none":
        raise UsageError(
            f"epochs={config.epochs}: resizing={old.resizing} runs over all epochs, so the photos so far "
            "would have had other sizes; only resizing=none can be trained longer"
        )
    if done and not (folder / CHECKPOINT).is_file():
        raise UsageError(
            f"{folder}: is done, and its checkpoint was removed; only runs with {KEEP} can be trained longer"
        )
    checkpoint = read(folder, config.recipe(), config.data, longer=True)
    if done and 0 < old.patience <= checkpoint.patience.get("waited", 0):  # at its last epoch
        raise UsageError(PATIENCE.format(folder=folder, patience=old.patience, epoch=status["epochs"]))
    if config.epochs > old.epochs and checkpoint.finished:
        raise UsageError(
            f"epochs={config.epochs}: fold {checkpoint.finished[0]} is already finished with {old.epochs}; "
            "folds one by one can't be trained longer"
        )
    return config, checkpoint


def is_finished(folder: Path, config: TrialConfig) -> bool:
    """Whether the folder holds a whole run of this recipe on these data."""
    run = RunFolder(folder)
    try:
        return (
            run.status()["state"] == "done"
            and not differences(run.config().recipe(), config.recipe(), longer=False)
            and not other_data(run, config.recipe(), config.data)
            and len(run.weights_files()) == run.validation()["fold"].nunique()
        )
    except (OSError, UsageError, KeyError, ValueError):  # missing or damaged
        return False


def again(folder: Path, config: TrialConfig, parent: str | None) -> Checkpoint | None:
    """The checkpoint from which NNI's trial in `folder` goes on: its own, if NNI starts it again, or that of
    the trial `parent` beside it, whose files are copied. None, and a warning, if there is none to go on from.
    """
    why, recipe = "", config.recipe()
    earlier = _beside(folder, parent) if parent else None
    try:
        if (folder / CHECKPOINT).is_file():
            return read(folder, recipe, config.data)
    except UsageError as error:
        why = str(error)
    try:
        if earlier:
            read(earlier, recipe, config.data)
            _copy(earlier, folder)
            return read(folder, recipe, config.data)
    except UsageError as error:
        why = str(error)
    if why:
        logger.warning(f"WARNING: {why}; this trial trains from epoch 1")
    return None


def _beside(folder: Path, parent: str) -> Path:
    if Path(str(parent)).name != parent:
        raise UsageError(f"parent={parent}: is not the id of a trial")
    return folder.resolve().parent / parent


def _copy(parent: Path, folder: Path) -> None:
    """Copy what the run `parent` has recorded, the checkpoint last: without it the folder is begun again."""
    weights = [path.name for path in RunFolder(parent).weights_files()]
    for name in (*COPIED, *weights, CHECKPOINT):
        source, target = parent / name, folder / name
        if source.exists():
            target.unlink(missing_ok=True)
            try:
                os.link(source, target)  # files are replaced, never changed
            except OSError:  # a file system without links
                write_atomic(target, partial(shutil.copyfile, source))


def _plain(value: Any) -> Any:
    """A number of numpy as Python's."""
    return value.item() if hasattr(value, "item") else value
