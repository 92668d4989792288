"""The one exception that means "the caller can mend this": every command turns it into exit 2."""

import difflib
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from common.log import show_logs

MOST_LINES = 100


class UsageError(Exception):
    """One or many errors in what the caller gave; each says what is wrong, where, and what to do.

    `errors` holds them one by one; `str()` gives all of them, a line each.
    """

    def __init__(self, errors: str | Iterable[str]):
        self.errors: list[str] = [errors] if isinstance(errors, str) else list(errors)
        super().__init__("\n".join(self.errors))


def first_line(error: Exception) -> str:
    """The first error, and how many more there are."""
    first, *more = str(error).splitlines() or [type(error).__name__]
    return f"{first} (and {len(more)} more)" if more else first


def errors_of(look: Callable[..., Any], *arguments: Any, **named: Any) -> list[str]:
    """The errors of the UsageError that `look` raises with these arguments, [] where it raises none."""
    try:
        look(*arguments, **named)
    except UsageError as error:
        return error.errors
    return []


def unknown(what: str, name: object, known: Iterable[str]) -> str:
    """The sentence for a name that nobody knows, with the nearest right one."""
    known = list(known)
    if near := _nearest(str(name), known):
        return f"unknown {what} '{name}'; did you mean {near}?"
    few = ", ".join(known[:12]) + (", ..." if len(known) > 12 else "")
    return f"unknown {what} '{name}'; there is {few or 'nothing to set'}"


def _nearest(name: str, known: list[str]) -> str:
    """The name that goes on where this one ends (resnext50), is all but the same in letters, has the same
    words (RandomErasing: erasing), or else a little of the letters; '' where none has."""
    if f"{name}s" in known:
        return f"{name}s"
    longer = [other for other in known if other.startswith(f"{name}_")]
    if found := longer or difflib.get_close_matches(name, known, n=1, cutoff=0.8):
        return found[0]
    in_words = max(known, key=lambda other: _alike(name, other), default="")
    if _alike(name, in_words) >= 0.5:
        return in_words
    return next(iter(difflib.get_close_matches(name, known, n=1, cutoff=0.5)), "")


def _alike(one: str, other: str) -> float:
    """Of the words of two names in snake_case or CamelCase, the share that both have."""
    ours, theirs = ({word.lower() for word in re.findall("[A-Z]?[a-z0-9]+", name)} for name in (one, other))
    return len(ours & theirs) / max(1, len(ours | theirs))


def all_at_once(*looks: Callable[[], Any]) -> list[Any]:
    """What each of `looks` returns; UsageError with the errors of all of them together."""
    found, errors = [], []
    for look in looks:
        try:
            found.append(look())
        except UsageError as error:
            errors += error.errors
    if errors:
        raise UsageError(dict.fromkeys(errors))
    return found


@contextmanager
def exit_on_usage_error() -> Iterator[None]:
    """Around a command (`with` or `@exit_on_usage_error()`): a caller's mistake ends it with exit 2.

    The errors go to stderr, no traceback, at most MOST_LINES of them and a count of the rest. Ctrl-C gives
    exit 130. Inside, the packages' logs are shown on stderr (`common.log.show_logs`).
    """
    show_logs()
    try:
        yield
    except UsageError as error:
        lines, more = error.errors[:MOST_LINES], len(error.errors) - MOST_LINES
        if more > 0:
            lines = [*lines, f"... and {more} more errors like these"]
        print("\n".join(lines), file=sys.stderr, flush=True)
        raise SystemExit(2) from None
    except (FileExistsError, IsADirectoryError, NotADirectoryError, PermissionError) as error:
        print(f"{error.filename}: {error.strerror}", file=sys.stderr, flush=True)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr, flush=True)
        raise SystemExit(130) from None
