"""The one exception that means "the caller can mend this": every command turns it into exit 2."""

import difflib
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

MOST_LINES = 100


class CallersMistake(Exception):
    """One or many faults in what the caller gave; each says what is wrong, where, and what to do.

    `faults` holds them one by one; `str()` gives all of them, a line each.
    """

    def __init__(self, faults: str | Iterable[str]):
        self.faults: list[str] = [faults] if isinstance(faults, str) else list(faults)
        super().__init__("\n".join(self.faults))


def first_line(error: Exception) -> str:
    """The first fault, and how many more there are."""
    first, *more = str(error).splitlines() or [type(error).__name__]
    return f"{first} (and {len(more)} more)" if more else first


def faults_of(look: Callable[..., Any], *arguments: Any, **named: Any) -> list[str]:
    """The faults of the CallersMistake that `look` raises with these arguments, [] where it raises none."""
    try:
        look(*arguments, **named)
    except CallersMistake as mistake:
        return mistake.faults
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
    """What each of `looks` returns; CallersMistake with the faults of all of them together."""
    found, faults = [], []
    for look in looks:
        try:
            found.append(look())
        except CallersMistake as mistake:
            faults += mistake.faults
    if faults:
        raise CallersMistake(dict.fromkeys(faults))
    return found


@contextmanager
def exit_on_mistake() -> Iterator[None]:
    """Around a command (`with` or `@exit_on_mistake()`): a caller's mistake ends it with exit 2.

    The faults go to stderr, no traceback, at most MOST_LINES of them and a count of the rest. Ctrl-C gives
    exit 130.
    """
    try:
        yield
    except CallersMistake as mistake:
        lines, more = mistake.faults[:MOST_LINES], len(mistake.faults) - MOST_LINES
        if more > 0:
            lines = [*lines, f"... and {more} more faults like these"]
        print("\n".join(lines), file=sys.stderr, flush=True)
        raise SystemExit(2) from None
    except (FileExistsError, IsADirectoryError, NotADirectoryError, PermissionError) as error:
        print(f"{error.filename}: {error.strerror}", file=sys.stderr, flush=True)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr, flush=True)
        raise SystemExit(130) from None
