"""How values are written for people. Files keep numbers with all their digits."""

import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# Of a cell that a spreadsheet takes for a formula; a cell that `cell` has changed begins so, too.
FORMULA = re.compile(r"'*[=+\-@\t\r]")
MAX_LINES = 3
MAX_NAMES = 5


def number_text(value: float) -> str:
    """Four significant digits, more only for large numbers: 0.0003162, 12.35, 1e-05, 123456.79."""
    return f"{value:.4g}" if abs(value) < 1000 else f"{value:.9g}"


def fixed_text(value: float, decimals: int = 3) -> str:
    """A score with this number of decimals, as scores are compared down a column: 0.734. One that is not 0
    but would look so, as the log loss of a good network, has three significant digits: -0.000123."""
    text = f"{value:.{decimals}f}"
    return f"{value:.3g}" if value and float(text) == 0 else text


def bytes_text(size: int) -> str:
    """A number of bytes: '0.5 MiB', '2.0 GiB'."""
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.1f} MiB"


def path_text(path: Path | str) -> str:
    """The path, relative to the working directory if it lies below it."""
    path, cwd = Path(path), Path.cwd()
    return str(path.relative_to(cwd) if path.is_relative_to(cwd) else path)


def now() -> str:
    """The time, as files note it: '2026-01-31T12:00:00+0100'."""
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")


def counted(number: int, name: str) -> str:
    """'1 trial', '2,000 trials'"""
    return f"{number:,} {name}{'' if number == 1 else 's'}"


def few(names: Sequence[str], limit: int = MAX_NAMES) -> str:
    """The first names, and how many more there are: 'a, b and 3 more'."""
    more = f" and {len(names) - limit:,} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def lines_text(lines: Sequence[int]) -> str:
    """Line numbers of a file: 'line 2', 'lines 2, 5' or 'lines 2, 3, 4, ... (12 in all)'."""
    first = ", ".join(map(str, lines[:MAX_LINES]))
    if len(lines) > MAX_LINES:
        return f"lines {first}, ... ({len(lines):,} in all)"
    return f"{'line' if len(lines) == 1 else 'lines'} {first}"


def shortened(text: str, letters: int) -> str:
    """The text, cut to this many letters, the last of which is '…' then."""
    return text if len(text) <= letters else f"{text[: letters - 1].rstrip()}…"


def cell(text: Any) -> Any:
    """A text as a cell of a CSV that people open: a spreadsheet would compute one that begins with =, +, -,
    @, a tab or a return, so it gets an apostrophe. Other values are returned as they are."""
    return f"'{text}" if isinstance(text, str) and FORMULA.match(text) else text


def from_cell(text: Any) -> Any:
    """The inverse of `cell`."""
    return text[1:] if isinstance(text, str) and text[:1] == "'" and FORMULA.match(text) else text


def value_text(value: object, missing: str = "–") -> str:
    """A recipe's value as text for people: 0.0003, 64x48, yes, none; `missing` if there is none."""
    if is_missing(value):
        return missing
    if isinstance(value, dict):
        return ", ".join(f"{key} {value_text(part, missing)}" for key, part in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(value_text(part, missing) for part in value) or "none"
    if type(value).__name__ in ("bool", "bool_"):  # numpy's, of a row of a table, is no bool
        return "yes" if value else "no"
    if isinstance(value, float):
        return number_text(value)
    return str(value)


def is_missing(value: object) -> bool:
    """Whether a cell of a table holds no value: None, NaN, NA or an empty text."""
    return value is None or (isinstance(value, float) and value != value) or str(value) in ("", "nan", "<NA>")
