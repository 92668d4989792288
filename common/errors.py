"""UsageError, the caller's mistake: every command turns it into messages on stderr and exit code 2."""

import difflib
import errno
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from common.log import show_logs

if TYPE_CHECKING:
    import typer

F = TypeVar("F", bound=Callable[..., Any])

MAX_LINES = 100
# What the caller can put right, by the error's number; None: the system's own words.
OF_CALLER = {
    errno.EEXIST: None, errno.EISDIR: None, errno.ENOTDIR: None, errno.EACCES: None, errno.EPERM: None,
    errno.ENAMETOOLONG: "the name is too long", errno.ELOOP: None,
    errno.EROFS: "its disk is read-only; give a folder that can be written to",
}  # fmt: skip
OF_DISK = {
    errno.ENOSPC: "the disk is full; free some space, then try again",
    errno.EDQUOT: "your quota on this disk is used up; free some space, then try again",
    errno.EFBIG: "the file would be larger than this process may write (ulimit -f)",
    errno.EIO: "the disk reports an error",
}


DEVICE_GONE = (  # parts of CUDA's messages, once the GPU was taken away or has failed
    "no CUDA-capable device is detected", "devices are busy or unavailable", "device(s) is/are busy",
    "uncorrectable ECC error", "CUDA error: unknown error",
)  # fmt: skip
NO_DEVICE_MEMORY = (
    "CUDA error: out of memory",
    "_STATUS_ALLOC_FAILED",
)  # RuntimeErrors
NO_MEMORY = "DefaultCPUAllocator: can't allocate memory"


class UsageError(Exception):
    """One or more errors in what the caller gave. Each message says what is wrong, where, and what to do.

    `errors` is the list of messages; `str()` joins them, one a line.
    """

    def __init__(self, errors: str | Iterable[str]):
        self.errors: list[str] = [errors] if isinstance(errors, str) else list(errors)
        super().__init__("\n".join(self.errors))


def file_words(error: BaseException) -> str:
    """A sentence on what is wrong with a file, or with its disk; '' for other errors."""
    if not isinstance(error, OSError) or error.errno not in {**OF_CALLER, **OF_DISK}:
        return ""
    words = (OF_CALLER | OF_DISK)[error.errno] or error.strerror
    return f"{error.filename}: {words}" if error.filename else str(words)


def gone_words(error: BaseException) -> str:
    """A sentence if this error is that a GPU, or another process of the training, is gone, so that a run may
    go on later; else ''."""
    text = str(error)
    if not isinstance(error, RuntimeError):
        return ""
    if any(part in text for part in DEVICE_GONE):
        return f"its GPU is gone ({text.splitlines()[0]})"
    if any(name in text for name in ("gloo/", "NCCL")):
        return f"another process of this training ended ({text.splitlines()[0]})"
    return ""


def failure_words(error: BaseException) -> str:
    """A sentence on what ended a command that is no error in the code: its files or their disk, too little
    memory, or numbers that are none. '' for other errors."""
    if isinstance(error, FloatingPointError):  # of trial/fit.py, a sentence
        return str(error)
    return file_words(error) or _memory_words(error)


def _memory_words(error: BaseException) -> str:
    text = str(error)
    on_device = isinstance(error, RuntimeError) and any(part in text for part in NO_DEVICE_MEMORY)
    if on_device or type(error).__name__ == "OutOfMemoryError":  # torch's; importing it takes seconds
        where = ", ".join(["on the device", *getattr(error, "__notes__", ())])
        return f"out of memory {where}; use a smaller image_size or network"
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and NO_MEMORY in text):
        what = f" ({text.splitlines()[0]})" if text else ""
        return f"out of memory{what}; use a smaller batch_size, fewer workers or a smaller image_size"
    if isinstance(error, RuntimeError) and "DataLoader worker" in text:
        return (
            "a process of the loader ended, killed by the system for want of memory perhaps "
            f"({text.splitlines()[0]}); use fewer workers or a smaller batch_size"
        )
    return ""


def first_line(error: Exception) -> str:
    """The first message of an error, and how many more there are."""
    first, *more = str(error).splitlines() or [type(error).__name__]
    return f"{first} (and {len(more)} more)" if more else first


def errors_of(function: Callable[..., Any], *arguments: Any, **named: Any) -> list[str]:
    """The messages of the UsageError that calling `function` raises, [] if it raises none."""
    try:
        function(*arguments, **named)
    except UsageError as error:
        return error.errors
    return []


def all_at_once(*functions: Callable[[], Any]) -> list[Any]:
    """Call every function and return the results; one UsageError with the messages of all that failed."""
    results, errors = [], []
    for function in functions:
        try:
            results.append(function())
        except UsageError as error:
            errors += error.errors
    if errors:
        raise UsageError(dict.fromkeys(errors))
    return results


def unknown(what: str, name: object, known: Iterable[str]) -> str:
    """The message for an unknown name: the closest known name, or else the first twelve of them."""
    known = list(known)
    if near := _nearest(str(name), known):
        return f"unknown {what} '{name}'; did you mean {near}?"
    few = ", ".join(known[:12]) + (", ..." if len(known) > 12 else "")
    return f"unknown {what} '{name}'; " + (f"known: {few}" if known else "there are none")


def _nearest(name: str, known: list[str]) -> str:
    """Closest known name: one it is a prefix of (resnext50), else by spelling, else by shared words
    (RandomErasing: erasing); '' if none is close."""
    if f"{name}s" in known:
        return f"{name}s"
    longer = [other for other in known if other.startswith(f"{name}_")]
    if found := longer or difflib.get_close_matches(name, known, n=1, cutoff=0.8):
        return found[0]
    by_words = max(known, key=lambda other: _word_overlap(name, other), default="")
    if _word_overlap(name, by_words) >= 0.5:
        return by_words
    return next(iter(difflib.get_close_matches(name, known, n=1, cutoff=0.5)), "")


def _word_overlap(one: str, other: str) -> float:
    """Fraction of the words of two names, in snake_case or CamelCase, that both have."""
    ours, theirs = ({word.lower() for word in re.findall("[A-Z]?[a-z0-9]+", name)} for name in (one, other))
    return len(ours & theirs) / max(1, len(ours | theirs))


@contextmanager
def exit_on_usage_error() -> Iterator[None]:
    """Run a command (`with` or `@exit_on_usage_error()`): a UsageError ends it with exit code 2.

    The messages go to stderr without a traceback, at most MAX_LINES of them and a count of the rest. A path
    that exists already, is of the wrong kind or lacks permission ends it with exit code 2 too; a full disk,
    too little memory, a loss that is NaN or a GPU that is gone with 1; Ctrl-C with 130. Inside, the packages'
    logs are shown on stderr (`common.log.show_logs`).
    """
    show_logs()
    try:
        yield
    except UsageError as error:
        lines, more = error.errors[:MAX_LINES], len(error.errors) - MAX_LINES
        if more > 0:
            lines = [*lines, f"... and {more} more errors like these"]
        print("\n".join(lines), file=sys.stderr, flush=True)
        raise SystemExit(2) from None
    except Exception as error:
        if not (words := failure_words(error) or gone_words(error)):
            raise
        print(words, file=sys.stderr, flush=True)
        is_callers = isinstance(error, OSError) and error.errno in OF_CALLER
        raise SystemExit(2 if is_callers else 1) from None
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr, flush=True)
        raise SystemExit(130) from None


def commands_of(app: "typer.Typer", program: str) -> Callable[[str], Callable[[F], F]]:
    """A decorator that makes a function a command of `app`, which ends as `exit_on_usage_error` says:
    `@command("list --all")` is its name and the example of its help, after `program` (`python -m trial`)."""

    def command(example: str) -> Callable[[F], F]:
        def added(function: F) -> F:
            name, epilog = example.partition(" ")[0], f"Example: {program} {example}"
            return app.command(name, epilog=epilog)(exit_on_usage_error()(function))

        return added

    return command
