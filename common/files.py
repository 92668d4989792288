"""Atomic writes of files and folders, locks between processes, and marks that show whether a file changed."""

import errno
import fcntl
import functools
import glob
import hashlib
import inspect
import json
import math
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, ParamSpec, TypeVar

from common.errors import UsageError
from common.text import cell

if TYPE_CHECKING:
    import pandas as pd

P = ParamSpec("P")
R = TypeVar("R")
FULL = 2**20  # free bytes of a disk with less are too few for a file of tensors
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)  # errors of file systems without locks
HOST = re.sub(r"\W", "_", platform.node())[:20]
NO_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EBADF)  # errors of file systems that can't sync a folder
_held: set[Path] = set()  # folders that this process writes into


def write_atomic(path: Path, write: Callable[[Path], object]) -> Path:
    """Call `write` with a temporary path beside `path`, then move that file to `path`, which is returned.

    Readers see the old file or the whole new one. What killed processes left of theirs is removed. OSError,
    with the path, if the disk is full, whatever the library that writes raises then.
    """
    sweep(path)
    part = part_of(path)
    try:
        write(part)
        part.chmod(0o644)  # safetensors writes for the owner alone
        os.replace(part, path)
    except OSError as error:
        if error.errno and error.filename is None:  # writing does not name it
            error.filename = str(path)
        raise
    except Exception as error:
        if number := _number_of(error, path):
            raise OSError(number, os.strerror(number), str(path)) from error
        raise
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
    return path


def sync(*paths: Path) -> None:
    """Wait until these files, and the names in these folders, are on the disk, where a power cut leaves them.

    OSError if the disk fails, which a file system may find out only now.
    """
    for path in paths:
        opened = os.open(path, os.O_RDONLY)
        try:
            os.fsync(opened)
        except OSError as error:
            if error.errno not in NO_SYNC:
                error.filename = str(path)
                raise
        finally:
            os.close(opened)


def part_of(path: Path) -> Path:
    """Where this process writes what will be moved to `path`; `sweep` removes it if it is killed."""
    return path.with_name(f".{path.name}.{process_part()}")


def process_part() -> str:
    """The end of the names of this process's temporary files. It has the host: another one's numbers of
    processes say nothing here, and folders may be shared."""
    return f"{HOST}-{os.getpid()}.part"


def sweep(path: Path) -> None:
    """Remove the temporary files and folders of `path` whose processes, of this machine, have ended."""
    import psutil

    with suppress(OSError, OverflowError):
        for part in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
            host, _, process = part.name.split(".")[-2].rpartition("-")
            if host == HOST and process.isdecimal() and not psutil.pid_exists(int(process)):
                if part.is_dir() and not part.is_symlink():
                    shutil.rmtree(part, ignore_errors=True)
                else:
                    part.unlink(missing_ok=True)


def _number_of(error: Exception, path: Path) -> int:
    """The number of the system's error behind one of safetensors, whose text has it, or torch; 0 for none."""
    if found := re.search(r"os error (\d+)", str(error)):
        return int(found[1])
    full = isinstance(error, RuntimeError) and shutil.disk_usage(path.parent).free < FULL
    return errno.ENOSPC if full else 0


def write_json(path: Path, value: Any) -> Path:
    """Write `value` as indented JSON, whole or not at all."""
    return write_atomic(path, lambda part: part.write_text(json.dumps(value, indent=2) + "\n"))


def write_sheet(path: Path, table: "pd.DataFrame") -> Path:
    """Write a CSV that people open in a spreadsheet: no text of it is a formula (`common.text.cell`)."""
    safe = table.astype(object).map(cell)
    return write_atomic(path, lambda part: safe.to_csv(part, index=False))


Kinds = tuple[type, ...]
NUMBER: Kinds = (int, float)
NONE = type(None)


def read_object(
    path: Path, required: Mapping[str, Kinds], optional: Mapping[str, Kinds] | None = None
) -> dict[str, Any]:
    """The JSON object in a file that `write_json` wrote. UsageError, 'is damaged', if it is none, or lacks a
    required key, or a value is not of the key's types; numbers must be finite. FileNotFoundError if there is
    no file."""
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(read, dict):
            raise ValueError("it is not a JSON object")
        check_kinds(read, required, optional)
        return read
    except FileNotFoundError:
        raise
    except OSError as error:
        raise UsageError(f"{path}: is damaged ({error.strerror})") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: is damaged ({error})") from None


def check_kinds(
    read: Mapping[str, Any], required: Mapping[str, Kinds], optional: Mapping[str, Kinds] | None = None
) -> None:
    """ValueError if a required key is missing, or a value is not of its key's types, or not finite."""
    for key, kinds in {**(optional or {}), **required}.items():
        if key in read or key in required:
            _check_kind(key, read, kinds)


def _check_kind(key: str, read: Mapping[str, Any], kinds: Kinds) -> None:
    if key not in read:
        raise ValueError(f"it has no {key}")
    value = read[key]
    is_right = isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool))
    if not is_right or (isinstance(value, float) and not math.isfinite(value)):
        raise ValueError(f"its {key} is {str(value)[:40]!r}")


@contextmanager
def folder_atomic(folder: Path) -> Iterator[Path]:
    """A path beside `folder` for a new folder, which is moved to `folder` at the end of the `with` block.

    If the block fails the new folder is removed and `folder` is not touched. `folder` may exist if it is
    empty.
    """
    target = folder.resolve()
    sweep(target)
    part = part_of(target)
    try:
        yield part
        os.replace(part, target)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's content, as 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_taken(folder: Path) -> bool:
    """Whether something is there that a new folder would overwrite: a file, or a folder that is not empty."""
    return folder.exists() and (not folder.is_dir() or any(folder.iterdir()))


def refuse_taken(out: Path) -> None:
    """UsageError if the new folder `out` `is_taken`."""
    if is_taken(out):
        raise UsageError(f"{out} already exists; give a new or empty folder")


def file_mark(path: Path | str) -> tuple[int, int] | None:
    """(bytes, modification time in ns) of a file, which change when it is rewritten; None if missing."""
    try:
        return mark_of(os.stat(path))
    except OSError:
        return None


def mark_of(status: os.stat_result) -> tuple[int, int]:
    """As `file_mark`, of a file whose status is known already."""
    return status.st_size, status.st_mtime_ns


@contextmanager
def lock(path: Path, on_busy: Callable[[IO[str]], object]) -> Iterator[IO[str]]:
    """Exclusive lock on the file `path`. The operating system releases it when this process ends or dies.

    If another process holds it, `on_busy` is called with the open file, then this one waits; `on_busy` may
    raise instead.
    """
    while True:
        with path.open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                on_busy(file)
                fcntl.flock(file, fcntl.LOCK_EX)
            except OSError as error:
                if error.errno not in NO_LOCKS:
                    raise
            if _is_at(file, path):
                yield file
                return
            # The last holder has removed the file in between: what is locked is not at this path any more.


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Exclusive right to write into `folder`, which may be missing and may be renamed meanwhile.

    UsageError if another process has it. It may be nested within one process.
    """
    resolved = folder.resolve()
    if resolved in _held:
        yield
        return
    path = _lock_of(resolved)

    def refuse(file: IO[str]) -> None:
        file.seek(0)
        pid = file.read().strip()
        raise UsageError(
            f"{folder}: another process{pid and f' ({pid})'} is writing into this folder; "
            "wait until it has ended, or choose another folder"
        )

    path.parent.mkdir(parents=True, exist_ok=True)
    with lock(path, refuse) as file:
        try:
            file.truncate(0)
            try:
                # Not through the file's buffer, which would be written a second time when it is closed.
                os.write(file.fileno(), f"{os.getpid()}\n".encode())
            except OSError as error:
                error.filename = str(path)
                raise
            _held.add(resolved)
            yield
        finally:
            _held.discard(resolved)
            path.unlink(missing_ok=True)


def _lock_of(folder: Path) -> Path:
    """Path of the lock file: beside the folder, or in the temporary folder if that is not writable."""
    parents = (parent for parent in folder.parents if parent.exists())
    if folder.name and os.access(next(parents), os.W_OK):
        return folder.with_name(f".{folder.name}.lock")
    return Path(tempfile.gettempdir(), f"{hashlib.sha256(str(folder).encode()).hexdigest()[:16]}.lock")


def only_writer_of_out(function: Callable[P, R]) -> Callable[P, R]:
    """Decorator: run the function as the `only_writer` of the folder in its argument `out`."""
    signature = inspect.signature(function)

    @functools.wraps(function)
    def wrapper(*arguments: P.args, **named: P.kwargs) -> R:
        bound = signature.bind(*arguments, **named)
        bound.apply_defaults()
        with only_writer(Path(bound.arguments["out"])):
            return function(*arguments, **named)

    return wrapper


def _is_at(file: IO[str], path: Path) -> bool:
    """Whether the open file is still the one at `path`."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
