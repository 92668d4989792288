"""The checkpoint of a run, which it goes on from after it was stopped or killed: a value, and its file.

A run goes on as if it had never been stopped: the same epochs.csv but for the seconds, the same weights and
predictions, bit by bit on a CPU with the same number of threads. In each epoch first the row of epochs.csv is
written, then the best predictions and weights, then the checkpoint, then the tuner gets its report. So a kill
between any two loses nothing: rows after the checkpoint are dropped, and their epochs trained again give the
same rows and weights. They may come out otherwise, on another device: a best epoch whose files are of a
dropped epoch is forgotten, and the best of the epochs from there on is recorded.
"""

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from common.errors import UsageError
from common.files import write_atomic

CHECKPOINT = "checkpoint.pt"  # in a run folder
FORMAT = 1


@dataclass(frozen=True)
class Checkpoint:
    """What a run goes on from, after an epoch, in plain values and tensors.

    `rows`: of epochs.csv. `best`: {fold: its best epoch}; `running`: {fold: `Training.state`} of the folds
    in training, all in one epoch; other folds in `best` are finished. `patience`: `Patience.state`, of the
    running folds. A retraining has no folds: `best` is empty, and it runs as 0. `started`: when the first
    part of the run did.
    """

    recipe: dict[str, Any]
    fingerprint: str
    torch: str
    started: str
    rows: Sequence[Mapping[str, Any]]
    best: Mapping[int, int]
    running: Mapping[int, Mapping[str, Any]]
    patience: Mapping[str, Any]

    def best_row(self, fold: int) -> Mapping[str, float]:
        """The row of a fold's best epoch."""
        where = fold, self.best[fold]
        return next(row for row in self.rows if (row["fold"], row["epoch"]) == where)

    @property
    def finished(self) -> list[int]:
        """The folds that are finished."""
        return [fold for fold in self.best if fold not in self.running]

    @property
    def where(self) -> str:
        """'epoch 3', 'epoch 3 of fold 1', 'fold 1'."""
        if not self.running:
            return f"fold {max(self.best)}"
        epoch = next(iter(self.running.values()))["epoch"]
        return f"epoch {epoch}" + (f" of fold {min(self.running)}" if self.finished else "")

    def write(self, path: Path) -> None:
        """Write the file, atomically."""
        import torch

        content = {field.name: getattr(self, field.name) for field in fields(self)}
        write_atomic(path, lambda part: torch.save({"format": FORMAT, **content}, part))


def load(path: Path) -> Checkpoint:
    """The checkpoint in a file, its tensors on the CPU. UsageError if it is damaged or another version's."""
    import torch

    try:
        with zipfile.ZipFile(path) as archive:
            if name := archive.testzip():  # torch itself does not compare checksums
                raise ValueError(f"the checksum of {name} is wrong")
        content = torch.load(path, map_location="cpu", weights_only=True)
        if content["format"] == FORMAT:
            return Checkpoint(**{field.name: content[field.name] for field in fields(Checkpoint)})
    except Exception as error:  # torch, zip and pickle raise many
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise UsageError(f"{path}: is damaged ({first.partition('. ')[0]})") from None
    raise UsageError(f"{path}: is of another version of this project")
