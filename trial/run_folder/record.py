"""The run folder: its writer and its reader. Files are written atomically."""

import json
import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from statistics import median_low
from typing import TYPE_CHECKING, Any

from common.errors import UsageError, file_words, first_line
from common.files import NONE, NUMBER, Kinds, process_part, read_object, sync, write_atomic, write_json
from dataset.face_masks.labels import FACE_MASK
from dataset.task import Task
from trial.config import TrialConfig, parse
from trial.metrics import DEFAULT, METRICS
from trial.models.tensors import write_tensors
from trial.preprocessing import Preprocessing
from trial.run_folder.checkpoint import CHECKPOINT, Checkpoint
from trial.run_folder.predictions import scores_of
from trial.run_folder.status import STATUS, begun, ended, how_it_ended, read_status

if TYPE_CHECKING:
    import pandas as pd


logger = logging.getLogger(__name__)
EPOCHS, VALIDATION = "epochs.csv", "validation.parquet"
WEIGHTS, OF_FOLDS = "weights.safetensors", "weights.fold*.safetensors"
FILES = (
    "config.json", "task.json", "preprocessing.json", "origin.json", EPOCHS, VALIDATION, WEIGHTS, STATUS,
    CHECKPOINT,
)  # fmt: skip
CONFIG: dict[str, Kinds] = {  # what every config.json has; later fields have defaults
    "model": (str,), "image_size": (str,), "epochs": (int,), "learning_rate": NUMBER, "loss": (str, dict),
    "seed": (int,),
}  # fmt: skip


class RunWriter:
    """Writes one run; its state is running, then done, interrupted or failed.

    UsageError if the folder already holds a run, unless that was refused before it started (an unknown
    column, say): the corrected command takes its place. With `again` any run is an earlier attempt, and is
    removed: NNI restarts a trial in the same folder.

    `checkpoint`: of the folder, whose run goes on: what it has recorded up to there is kept, later epochs are
    dropped. The time that it started and its seconds are those of all its parts. `parent`: the trial that
    began it, in another folder. The checkpoint is removed when the run is done, unless with
    `keep_checkpoint`. `lock` is held while a file is written.

    A `with` block records how the training in it ended: done, or by which error, which is raised.
    """

    def __init__(
        self,
        folder: Path,
        config: TrialConfig | None = None,
        again: bool = False,
        checkpoint: Checkpoint | None = None,
        parent: str | None = None,
        keep_checkpoint: bool = False,
    ):
        if not (again or checkpoint):
            refuse_run(folder)
        existing = _run_files(folder)
        self.folder = folder
        self.lock = threading.RLock()
        self._ended, self.keeps_checkpoint = False, keep_checkpoint
        folder.mkdir(parents=True, exist_ok=True)
        self._remove_parts()
        for name in existing if checkpoint is None else ():
            (folder / name).unlink(missing_ok=True)
        self._status = begun(config.metric if config else DEFAULT)
        if checkpoint and not parent:
            parent = RunFolder(folder).status().get("parent")
        self._parent = parent
        if parent:
            self._status["parent"] = parent
        self.rows: list[dict[str, Any]] = []  # of epochs.csv
        self._task = FACE_MASK
        self._n_folds = len(config.fold_numbers) if config else 1
        # {fold: (its best epoch, its predictions in that epoch)}
        self._folds: dict[int, tuple[int, Any]] = {}
        if checkpoint:
            self._go_on(checkpoint)
        self._write_status()
        if config is not None:
            write_json(folder / "config.json", config.to_json())

    def _go_on(self, checkpoint: Checkpoint) -> None:
        run = RunFolder(self.folder)
        self._task = run.task()
        if checkpoint.best:
            answers = dict(list(run.validation().groupby("fold")))
            self._folds = {fold: (epoch, answers[fold]) for fold, epoch in checkpoint.best.items()}
            self._note_best(self._answers())
        self.rows = [dict(row) for row in checkpoint.rows]
        self._status["started"] = checkpoint.started
        self._write_epochs()

    def origin(self, origin: Mapping[str, Any]) -> None:
        """Write origin.json (trial/run_folder/origin.py)."""
        write_json(self.folder / "origin.json", origin)

    def task(self, task: Task) -> None:
        """Write task.json."""
        self._task = task
        write_json(self.folder / "task.json", task.to_json())

    def preprocessing(self, preprocessing: Preprocessing) -> None:
        """Write preprocessing.json."""
        write_json(self.folder / "preprocessing.json", preprocessing.to_json())

    def epoch(self, row: Mapping[str, Any]) -> None:
        """Add a row to epochs.csv."""
        with self.lock:
            self.rows.append(dict(row))
            self._write_epochs()
            self._write_status()

    def note_memory(self, parts: int, device_bytes: int) -> None:
        """Note the number of parts that batches were trained in, if memory was short, and the most memory of
        a GPU that the process has held, 0 without one."""
        if parts > 1:
            self._status["batch_parts"] = max(parts, self._status.get("batch_parts", 1))
        if device_bytes:
            self._status["device_bytes"] = max(device_bytes, self._status.get("device_bytes", 0))

    def best(self, fold: int, epoch: int, weights: Mapping[str, Any], predictions: "pd.DataFrame") -> float:
        """Write a fold's best epoch so far: its weights (a state dict) and its predictions for the groups
        held out (columns photo, group, fold, label, p00, ...).

        Returns the run's score by its metric, over the groups of all folds so far. The run's best epoch is
        the median of the folds'.
        """
        with self.lock:
            self._folds[fold] = epoch, predictions
            validation = self._answers()
            path = self.folder / VALIDATION
            # First, as going on tells by them whether the weights are of the checkpoint's best epoch.
            write_atomic(path, lambda part: validation.to_parquet(part, index=False))
            self.weights(weights, fold if self._n_folds > 1 else None)
            self._note_best(validation)
            self._write_status()
        return self.score

    @property
    def score(self) -> float:
        """The run's score by its metric, over the groups of all folds so far; 0 before the first."""
        return self._status["score"] or 0.0

    @property
    def best_epochs(self) -> dict[int, int]:
        """{fold: its best epoch so far}."""
        return {fold: epoch for fold, (epoch, _) in self._folds.items()}

    @property
    def started(self) -> str:
        """When the first part of the run started."""
        return self._status["started"]

    @property
    def has_checkpoint(self) -> bool:
        """Whether there is one to go on from."""
        return (self.folder / CHECKPOINT).exists()

    def release_parent(self) -> None:
        """Remove the checkpoint of the trial that began this run, which has one of its own, further on."""
        if self._parent and self.has_checkpoint:
            (self.folder.resolve().parent / self._parent / CHECKPOINT).unlink(missing_ok=True)

    def weights(self, weights: Mapping[str, Any], fold: int | None = None) -> None:
        """Write a state dict, of one fold or of the run; as `write_tensors`."""
        name = WEIGHTS if fold is None else OF_FOLDS.replace("*", str(fold))
        write_tensors(self.folder / name, weights)

    def checkpoint(self, checkpoint: Checkpoint) -> None:
        """Write the checkpoint, in place of the last one. OSError or RuntimeError if the disk is full."""
        with self.lock:
            checkpoint.write(self.folder / CHECKPOINT)

    def end(self, state: str, reason: str = "", wait: float = -1) -> None:
        """Write the final state; later calls do nothing. Waits up to `wait` s for a write in progress (-1:
        until it ends).

        A run that is done is on the disk before its status says so, and before NNI hears of it: a power cut
        leaves it whole, or to be trained further. OSError, and no end, if that fails.
        """
        if state == "done" and not self._ended:
            sync(*(self.folder / name for name in _run_files(self.folder) if name != CHECKPOINT))
        held = self.lock.acquire(timeout=wait)
        try:
            if not self._ended:
                self._ended = True
                self._status |= ended(state, reason)
                try:
                    self._write_status()
                    if state == "done":
                        sync(self.folder / STATUS, self.folder, self.folder.parent)
                except OSError as error:  # a full disk, say
                    if state == "done":  # not so, and its checkpoint is still needed
                        self._ended = False
                        raise
                    # The last status stays, and this process is gone.
                    logger.warning(f"WARNING: the end of this run can't be recorded: {file_words(error)}")
                if state == "done" and not self.keeps_checkpoint:
                    (self.folder / CHECKPOINT).unlink(missing_ok=True)
        finally:
            if held:
                self.lock.release()
            else:
                self._remove_parts(process_part())  # this process ends in the middle of a write

    def __enter__(self) -> "RunWriter":
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        try:
            if error is None:
                self.end("done")
        except OSError as full:
            self.end(*how_it_ended(full))
            raise
        if error is not None:
            self.end(*how_it_ended(error))

    def _write_epochs(self) -> None:
        import pandas as pd

        table = pd.DataFrame(self.rows)
        write_atomic(self.folder / EPOCHS, lambda part: table.to_csv(part, index=False))
        # Epochs of all folds done. Retraining holds nobody out: its rows have no fold.
        epochs = len(self.rows) // (self._n_folds if "fold" in table else 1)
        self._status |= {"epochs": epochs, "seconds": round(float(table["seconds"].sum()), 2)}

    def _answers(self) -> "pd.DataFrame":
        """The content of validation.parquet."""
        import pandas as pd

        answers = pd.concat([self._folds[fold][1] for fold in sorted(self._folds)], ignore_index=True)
        return answers.rename(columns={"group": self._task.column})

    def _note_best(self, answers: "pd.DataFrame") -> None:
        scores = scores_of(answers)
        score = METRICS[self._status["metric"]](scores)
        best_epoch = median_low(self.best_epochs.values())
        self._status |= {"best_epoch": best_epoch, "macro_f1": scores.macro_f1, "score": score}

    def _remove_parts(self, end: str = "*.part") -> None:
        """Remove half-written files, of killed processes too: a folder has one writer."""
        for part in self.folder.glob(f".*.{end}"):
            part.unlink(missing_ok=True)

    def _write_status(self) -> None:
        write_json(self.folder / STATUS, self._status)


class Unrecorded(RunWriter):
    """The writer of a rank that is not the first (trial/process/ranks.py), which records the same; it writes
    nothing."""

    def __init__(self) -> None:
        self.rows, self.keeps_checkpoint = [], False
        self._folds, self._status = {}, {"started": "", "score": None}

    def _nothing(self, *values: Any, **named: Any) -> Any:
        pass

    origin = task = preprocessing = epoch = note_memory = best = weights = checkpoint = end = _nothing


class RunFolder:
    """Reads one run. FileNotFoundError if a file was never written, UsageError if it is damaged."""

    def __init__(self, folder: Path):
        self.folder = Path(folder)

    def config(self) -> TrialConfig:
        """The config of the run; the files that it names need not exist here."""
        return parse(read_object(self.folder / "config.json", CONFIG), present=False)

    def preprocessing(self) -> Preprocessing:
        """How the photos of the run were prepared."""
        path = self.folder / "preprocessing.json"
        read = read_object(path, {"image_size": (list,), "mean": (list,), "std": (list,)})
        try:
            return Preprocessing.from_json(read)
        except (TypeError, ValueError) as error:
            raise UsageError(f"{path}: is damaged ({error})") from None

    def origin(self) -> dict[str, Any]:
        """origin.json: code, package versions, data and machine of the run."""
        kinds: dict[str, Kinds] = {
            "code": (dict,), "versions": (dict,), "class_counts": (list,), "experiment": (str, NONE),
            "trial": (str, NONE),
        }  # fmt: skip
        return read_object(self.folder / "origin.json", {"data_fingerprint": (str,)}, kinds)

    def task(self) -> Task:
        """The task of the run; that of runs of versions that did not record it is the home task."""
        path = self.folder / "task.json"
        try:
            return Task.from_json(read_object(path, {}))
        except FileNotFoundError:
            return FACE_MASK
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise UsageError(f"{path}: is damaged ({error!r})") from None

    def class_counts(self) -> list[int] | None:
        """Photos of each class in its training data; None in runs of versions that did not record
        them."""
        return self.origin().get("class_counts")

    def epochs(self) -> "pd.DataFrame":
        """epochs.csv: `trial.fit.Epoch.row` of every epoch, and its fold (none in a retrained run)."""
        import pandas as pd

        path = self.folder / EPOCHS
        with _named_if_damaged(path):
            table = pd.read_csv(path)
            if texts := [name for name in table if not pd.api.types.is_numeric_dtype(table[name])]:
                raise ValueError(f"no number in column {texts[0]}")
            if not (table["epoch"] >= 1).all():
                raise ValueError("a row without an epoch")
        return table

    def curve(self) -> "pd.DataFrame":
        """`epochs` with one row per epoch: the mean over the folds of this run. Once it is done, one that
        ended earlier counts with its last row, as where recipes are ranked (analysis/trust/curves.py:
        whole_curve)."""
        import pandas as pd

        table = self.epochs()
        if "fold" in table and self.status()["state"] == "done":
            every = pd.MultiIndex.from_product([sorted(table["epoch"].unique()), table["fold"].unique()])
            rows = every.to_frame(index=False, name=["epoch", "fold"])
            table = pd.merge_asof(rows, table.sort_values("epoch"), on="epoch", by="fold")
        return table.groupby("epoch").mean().copy().reset_index()  # in one block

    def validation(self) -> "pd.DataFrame":
        """Probabilities of the best epoch: columns photo, group, fold, label, p00, ... In the file the
        groups' column has the task's word for a group (person)."""
        import pandas as pd

        path = self.folder / VALIDATION
        with _named_if_damaged(path):
            table = pd.read_parquet(path)
        return table.rename(columns={self.task().column: "group"})

    def weights_files(self) -> list[Path]:
        """The paths of weights.safetensors, or of each fold's weights.foldN.safetensors in order; [] if none.

        A retrained fold=all recipe has weights.safetensors: it was trained on all groups."""
        return sorted(self.folder.glob("weights*.safetensors"), key=lambda path: (len(path.name), path.name))

    def status(self) -> dict[str, Any]:
        """status.json, as `read_status` does."""
        return read_status(self.folder)


@contextmanager
def _named_if_damaged(path: Path) -> Iterator[None]:
    """Raise what reading a table raises as a UsageError; FileNotFoundError as it is."""
    try:
        yield
    except FileNotFoundError:
        raise
    except (OSError, ValueError, KeyError, TypeError) as error:  # pandas' and pyarrow's are these
        raise UsageError(f"{path}: is damaged ({first_line(error)})") from None


def refuse_run(folder: Path) -> None:
    """UsageError if the folder already holds a run, unless that was refused before it started."""
    existing = _run_files(folder)
    if existing and not _was_refused(folder, existing):
        raise UsageError(f"{folder} already holds {existing[0]}; choose another folder, or move it away")


def _run_files(folder: Path) -> list[str]:
    names = [name for name in FILES if (folder / name).exists()]
    return names + sorted(path.name for path in folder.glob(OF_FOLDS))


def _was_refused(folder: Path, existing: list[str]) -> bool:
    """Whether a run ended as failed, with nothing in its files `existing` that training makes."""
    if not set(existing) <= {"config.json", "task.json", "preprocessing.json", "origin.json", STATUS}:
        return False
    try:
        return json.loads((folder / STATUS).read_text())["state"] == "failed"
    except (OSError, ValueError, KeyError, TypeError):
        return False
