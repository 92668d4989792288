"""Atomic writes of files and folders, locks between processes, and marks that show whether a file changed."""

import errno
import fcntl
import functools
import hashlib
import inspect
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, ParamSpec, TypeVar

from common.errors import UsageError

P = ParamSpec("P")
R = TypeVar("R")
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)  # errors of file systems without locks
_held: set[Path] = set()  # folders that this process writes into


def write_atomic(path: Path, write: Callable[[Path], object]) -> Path:
    """Call `write` with a temporary path beside `path`, then move that file to `path`, which is returned.

    Readers see the old file or the whole new one.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        write(part)
        part.chmod(0o644)  # safetensors writes for the owner alone
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return path


def write_json(path: Path, value: Any) -> Path:
    """Write `value` as indented JSON, whole or not at all."""
    return write_atomic(path, lambda part: part.write_text(json.dumps(value, indent=2) + "\n"))


@contextmanager
def folder_atomic(folder: Path) -> Iterator[Path]:
    """A path beside `folder` for a new folder, which is moved to `folder` at the end of the `with` block.

    If the block fails the new folder is removed and `folder` is not touched. `folder` may exist if it is
    empty.
    """
    target = folder.resolve()
    part = target.with_name(f"{target.name}.part{os.getpid()}")
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
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        _held.add(resolved)
        try:
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
