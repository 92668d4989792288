"""The study of a search, kept in the experiment's folder so that it survives the end of any process.

The storage is Optuna's journal: a line for each change, appended and synced, which a kill can at most cut
short. This process is its only writer: it holds a lock of the operating system, which ends with the process,
instead of Optuna's lock files, which a kill leaves behind.
"""

import errno
import fcntl
import json
import logging
import os
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.samplers import BaseSampler
from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend

from tuners.chosen import JOURNAL
from tuners.errors import UsageError
from tuners.spaces.space import Space

NAME = "search"
SPACE = "space"  # attribute of the study: NNI's search space
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)  # errors of file systems without locks
WAIT_SECONDS = 20.0  # for a dispatcher whose manager was killed to end

_logger = logging.getLogger("tuners.study")

optuna.logging.set_verbosity(optuna.logging.ERROR)
warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)


def open_study(folder: Path | None, nni_space: Mapping[str, Any], sampler: BaseSampler) -> optuna.Study:
    """The study of the experiment in `folder`, new or as it was left; None: in memory.

    UsageError if another process writes it, if it can't be written, if it is damaged, or if it is of another
    search space.
    """
    path = folder / JOURNAL if folder else None
    try:
        storage: BaseStorage = JournalStorage(Journal(path)) if path else InMemoryStorage()
        study = optuna.create_study(
            storage=storage, sampler=sampler, study_name=NAME, direction="maximize", load_if_exists=True,
            pruner=optuna.pruners.NopPruner(),
        )  # fmt: skip
        known = study.user_attrs.get(SPACE)
    except UsageError:  # a ValueError, too
        raise
    except OSError as error:
        raise UsageError(f"{path}: can't be written: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AssertionError) as error:
        raise UsageError(
            f"{path}: is damaged ({error!r}); move it away, and the search starts from the beginning"
        ) from None
    if known is None:
        study.set_user_attr(SPACE, nni_space)
    elif Space(known).parameters != Space(nni_space).parameters:
        differ = _difference(Space(known), Space(nni_space))
        raise UsageError(
            f"{path}: is the study of another search space ({differ}); start another experiment with "
            "warm_start to go on from this one"
        )
    return study


def experiment_folder() -> Path | None:
    """The folder of the experiment whose dispatcher this process is; None if it is none."""
    log = os.environ.get("NNI_LOG_DIRECTORY")
    return Path(log).parent if log else None


def _difference(one: Space, other: Space) -> str:
    ours, theirs = ({parameter.name: parameter for parameter in space.parameters} for space in (one, other))
    names = [name for name in (ours | theirs) if ours.get(name) != theirs.get(name)]
    return f"{', '.join(names[:3])}{', ...' if names[3:] else ''} differ{'s' if len(names) == 1 else ''}"


class Journal(JournalFileBackend):
    """Optuna's journal, with this process as its only writer until it ends.

    What is appended survives the end of the process at once, and that of the machine after `sync`: Optuna's
    own syncs each change, of which a trial has dozens.
    """

    def __init__(self, path: Path):
        self._file = path.open("ab", buffering=0)
        end = time.monotonic() + WAIT_SECONDS
        while True:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    self._file.close()
                    raise UsageError(
                        f"{path}: another process searches with it; end that one (nnictl stop), then go on"
                    ) from None
                time.sleep(0.2)
            except OSError as error:
                if error.errno not in NO_LOCKS:
                    raise
                break
        _mend(path)
        super().__init__(str(path))

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        self._file.write(b"".join(json.dumps(log, separators=(",", ":")).encode() + b"\n" for log in logs))

    def sync(self) -> None:
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


def _mend(path: Path) -> None:
    """Cut off a last line that a kill left incomplete; ValueError names another line that is not JSON."""
    whole = path.read_bytes()
    lines = whole.split(b"\n")
    if lines[-1]:
        _logger.warning("%s: its last change was not written to its end, and is dropped", path)
        with path.open("rb+") as file:
            file.truncate(len(whole) - len(lines[-1]))
    for number, line in enumerate(lines[:-1], 1):
        try:
            json.loads(line)
        except ValueError:
            raise ValueError(f"line {number} is not JSON") from None


def journal_of(study: optuna.Study) -> Journal | None:
    """The journal of a study that is kept in one."""
    backend = getattr(study._storage, "_backend", None)
    return backend if isinstance(backend, Journal) else None
