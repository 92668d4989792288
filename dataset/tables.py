"""Read CSV files as text; every error of a file becomes a message with the file's name and lines."""

import codecs
import csv
import difflib
import io
import logging
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from common.text import lines_text
from dataset.photo_file import file_error

UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}

logger = logging.getLogger(__name__)


def read_table(
    path: Path, columns: Sequence[str], strip: bool = False, others: bool = False
) -> tuple[pd.DataFrame, list[str]]:
    """(`columns` of the CSV at `path` as text, indexed by line number; the errors of the file). With `others`
    all other columns that have a name follow.

    The table is empty if the file can't be read as a CSV with these columns. It is complete if the only
    errors are spaces around values or extra commas at the end of lines. `strip`: spaces around values are no
    error. `table.attrs["notes"]` lists what was skipped.
    """
    empty = empty_table(columns)
    text, error = _text(path, columns)
    if error:
        return empty, [error]
    rows, error = _rows(path, text, strip)
    if error:
        return empty, [error]
    filled = {line: row for line, row in rows.items() if any(map(str.strip, row))}
    if not filled:
        return empty, [f"{path}: an empty file, not a CSV with columns {','.join(columns)}"]
    header_line, header = next(iter(filled.items()))
    del filled[header_line]
    wanted = [*columns, *(name for name in dict.fromkeys(header) if name and name not in columns and others)]
    if errors := _header_errors(path, header, columns, wanted):
        return empty, errors
    errors, broken = _width_errors(path, filled, len(header))
    if broken:
        return empty, errors
    places = [header.index(column) for column in wanted]
    found = [[row[place] for place in places] for row in filled.values()]
    table = pd.DataFrame(found, index=list(filled), columns=wanted, dtype=str)
    for column in wanted:
        if len(spaced := table.index[table[column] != table[column].str.strip()]):
            errors.append(f"{path} {lines_text(spaced)}: spaces around {column}; remove them")
    table = table.apply(lambda values: values.str.strip())
    commas = [line for line, row in rows.items() if row and line not in filled and line != header_line]
    table.attrs["notes"] = [f"{path} {lines_text(commas)}: only commas, skipped"] if commas else []
    return table, errors


def _text(path: Path, columns: Sequence[str]) -> tuple[str, str]:
    """(the file's text, "") or ("", the error)."""
    wanted = f"a CSV with columns {','.join(columns)}"
    if why := file_error(path, wanted):
        return "", f"{path}: {why}"
    try:
        data = path.read_bytes()
    except OSError as error:
        return "", f"{path}: can't be read ({error.strerror})"
    if data.startswith(UTF16):
        return "", f"{path}: UTF-16 text, not {wanted}; save it as CSV in UTF-8"
    if (at := data.find(b"\0")) >= 0:
        return "", f"{path} line {_line(data, at)}: a NUL byte; this is a binary file, not {wanted}"
    try:
        return data.decode("utf-8-sig"), ""
    except UnicodeDecodeError as error:
        found = f"byte 0x{error.object[error.start]:02x}"
        line = _line(data, error.start)
        return "", f"{path} line {line}: not UTF-8 text ({found}), so not {wanted}; save it as CSV in UTF-8"


def _line(data: bytes, at: int) -> int:
    return data.count(b"\n", 0, at) + 1


def _rows(path: Path, text: str, strip: bool) -> tuple[dict[int, list[str]], str]:
    """({line number: fields}, "") or ({}, the error); an empty line has no fields."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: dict[int, list[str]] = {}
    try:
        while (fields := next(reader, None)) is not None:
            # A quoted field may span several lines; the row has the number of the last one.
            rows[reader.line_num] = [field.strip() for field in fields] if strip else fields
    except csv.Error as error:
        return {}, f"{path} line {reader.line_num}: not a CSV ({error}); check its quotes"
    return rows, ""


def _header_errors(path: Path, header: list[str], columns: Sequence[str], wanted: Sequence[str]) -> list[str]:
    if len(header) == 1:
        for separator, name in SEPARATORS.items():
            if separator in header[0]:
                return [f"{path}: its columns are separated by {name}; save it with commas"]
    errors = [f"{path}: column {column!r} appears {header.count(column)} times; keep one"
              for column in wanted if header.count(column) > 1]  # fmt: skip
    for column in columns:
        if column in header:
            continue
        near = difflib.get_close_matches(column, set(header) - set(columns), 1, 0.5)
        hint = f"; should {near[0]!r} be {column!r}?" if near else ""
        errors.append(f"{path}: no column {column!r}; it has {','.join(header)}{hint}")
    return errors


def _width_errors(path: Path, rows: dict[int, list[str]], width: int) -> tuple[list[str], bool]:
    """(an error for each wrong number of fields, whether any row differs by more than commas at its end)."""
    by_width: dict[tuple[int, bool], list[int]] = {}
    for line, row in rows.items():
        if len(row) != width:
            only_commas = len(row) > width and not any(map(str.strip, row[width:]))
            by_width.setdefault((len(row), only_commas), []).append(line)
    errors = []
    for (fields, only_commas), lines in by_width.items():
        why = "; remove the commas at the end" if only_commas else ""
        errors.append(f"{path} {lines_text(lines)}: {fields} fields, but the header names {width}{why}")
    return errors, not all(only_commas for _, only_commas in by_width)


def empty_table(columns: Sequence[str]) -> pd.DataFrame:
    """A table of text columns without rows or notes."""
    table = pd.DataFrame(columns=list(columns), dtype=str)
    table.attrs["notes"] = []
    return table


def log_notes(table: pd.DataFrame) -> None:
    """Log `table.attrs["notes"]` as warnings: what was skipped while the table was read, or changed in it."""
    for note in table.attrs["notes"]:
        logger.warning(note)
