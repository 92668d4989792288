"""Usage errors of tuners and assessors. This package imports none of ours, since NNI may load it alone."""

import difflib
from collections.abc import Iterable
from typing import Any


class UsageError(ValueError):
    """One or more mistakes of the caller; each message says what is wrong, where, and what to do.

    `errors` is the list of messages; `str()` joins them, one a line.
    """

    def __init__(self, errors: str | Iterable[str]):
        self.errors: list[str] = [errors] if isinstance(errors, str) else list(errors)
        super().__init__("\n".join(self.errors))


def count_errors(least: int, **counts: Any) -> list[str]:
    """Which of these are no integers of at least `least`."""
    return [
        f"{name}: {value!r} is not an integer of at least {least}"
        for name, value in counts.items()
        if isinstance(value, bool) or not isinstance(value, int) or value < least
    ]


def is_number(value: Any) -> bool:
    """True and false, which Python takes for 1 and 0, are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def unknown(what: str, name: object, known: Iterable[str]) -> str:
    """The message for an unknown name, with the closest known one, or else all of them."""
    known = list(known)
    return f"unknown {what} '{name}'" + (did_you_mean(name, known) or f"; known: {', '.join(known)}")


def did_you_mean(name: Any, known: Iterable[Any]) -> str:
    """'; did you mean X?', or '' if no known name is near."""
    close = difflib.get_close_matches(str(name), [str(other) for other in known], n=1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else ""
