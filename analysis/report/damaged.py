"""Files of run folders that may be damaged or half-written: named and left out, so a page shows the rest."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from common.errors import UsageError, first_line

T = TypeVar("T")


def read_or_note(read: Callable[[], T], file: Path, notes: list[str]) -> T | None:
    """What `read` returns; None if the `file` that it reads is missing, or damaged, which is noted."""
    try:
        return read()
    except FileNotFoundError:
        return None
    except UsageError as error:
        words = f"Left out: {first_line(error)}."
    except (OSError, ValueError, KeyError, TypeError) as error:  # of pandas and pyarrow
        words = f"Left out: {file}: is damaged ({first_line(error)})."
    if words not in notes:
        notes.append(words)
    return None
