"""Files that appear whole or not at all, and folders that one process at a time writes into."""

import errno
import fcntl
import functools
import hashlib
import inspect
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, ParamSpec, TypeVar

from common.errors import UsageError

P = ParamSpec("P")
R = TypeVar("R")
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)  # what file systems without locks answer
_held: set[Path] = set()  # folders that this process writes into


def write_atomic(path: Path, write: Callable[[Path], object]) -> Path:
    """`write` gets a path beside `path`, which replaces it once it is complete."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        write(part)
        part.chmod(0o644)  # safetensors writes for the owner alone
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return path


def write_json(path: Path, value: Any) -> Path:
    return write_atomic(path, lambda part: part.write_text(json.dumps(value, indent=2) + "\n"))


@contextmanager
def lock(path: Path, on_busy: Callable[[IO[str]], object]) -> Iterator[IO[str]]:
    """Exclusive lock on the file `path`, released by the system when this process ends, however it does.

    While another process holds it `on_busy` is called with the open file: it may raise, else this waits.
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
            # Its last holder removed it in between: what we locked is no longer this path's file.


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """This process alone writes into `folder` (which may be missing, and may be renamed meanwhile).

    UsageError while another process does. Within one process it may be nested.
    """
    whole = folder.resolve()
    if whole in _held:
        yield
        return
    path = _lock_of(whole)

    def refuse(file: IO[str]) -> None:
        file.seek(0)
        number = file.read().strip()
        raise UsageError(
            f"{folder}: another process{number and f' ({number})'} is writing into this folder; "
            "wait until it has ended, or choose another folder"
        )

    path.parent.mkdir(parents=True, exist_ok=True)
    with lock(path, refuse) as file:
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        _held.add(whole)
        try:
            yield
        finally:
            _held.discard(whole)
            path.unlink(missing_ok=True)


def _lock_of(folder: Path) -> Path:
    """Beside the folder; where nothing can be written there, in the folder for temporary files."""
    parents = (parent for parent in folder.parents if parent.exists())
    if folder.name and os.access(next(parents), os.W_OK):
        return folder.with_name(f".{folder.name}.lock")
    return Path(tempfile.gettempdir(), f"{hashlib.sha256(str(folder).encode()).hexdigest()[:16]}.lock")


def only_writer_of_out(function: Callable[P, R]) -> Callable[P, R]:
    """`function` runs as the `only_writer` of the folder that its argument `out` names."""
    signature = inspect.signature(function)

    @functools.wraps(function)
    def alone(*arguments: P.args, **named: P.kwargs) -> R:
        bound = signature.bind(*arguments, **named)
        bound.apply_defaults()
        with only_writer(Path(bound.arguments["out"])):
            return function(*arguments, **named)

    return alone


def _is_at(file: IO[str], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
