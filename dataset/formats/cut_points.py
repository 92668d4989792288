"""Columns of numbers with cut points in their names, "size (cm) cut at 5 20": each becomes a factor of
ordered bands, `size_band`, and its numbers are kept."""

import re
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from common.text import few, lines_text
from dataset.task import Bands

FORM = "NAME (UNIT) cut at NUMBER NUMBER ..."
SUFFIX = "_band"
_DECLARED = re.compile(r"\s*(?P<column>.*?)\s*(?:\((?P<unit>[^()]*)\)\s*)?\bcut at\b(?P<edges>.*)", re.I)


def declared(
    csv: Path, table: pd.DataFrame, taken: Collection[str]
) -> tuple[pd.DataFrame, dict[str, Bands], list[str]]:
    """(The table, each column with cut points under the name of its factor, without those that are wrong;
    {factor: its bands}; what is wrong). `taken`: names with another meaning."""
    bands, errors, names = dict[str, Bands](), list[str](), dict[str, str]()
    found = {name: match for name in table if (match := _DECLARED.fullmatch(name))}
    others = {*taken, *table} - set(found)
    for name, match in found.items():
        column, where = match["column"], f"{csv}: column {name!r}"
        edges, wrong = _edges(match["edges"])
        if not column:
            wrong.append(f"has no name; write {FORM}")
        elif clash := sorted({column, column + SUFFIX} & others):
            wrong.append(f"the name {few(clash)} is taken; choose another")
        if wrong:
            errors += [f"{where}: {why}" for why in wrong]
            continue
        others |= {column, column + SUFFIX}
        names[name] = column + SUFFIX
        bands[column + SUFFIX] = Bands(column, edges, (match["unit"] or "").strip())
    kept = table.drop(columns=[name for name in found if name not in names]).rename(columns=names)
    kept.attrs = table.attrs
    return kept, bands, errors


def cut(
    csv: Path, table: pd.DataFrame, bands: Mapping[str, Bands], train: pd.Series, checked: pd.Series
) -> tuple[dict[str, pd.Series], dict[str, pd.Series], list[str]]:
    """({factor: the name of each photo's band, '' if its number is not known}, {column: the numbers, NaN if
    not known}, what is wrong in the lines `checked`). Every band needs a photo to `train` on."""
    named, numbers, errors = dict[str, pd.Series](), dict[str, pd.Series](), list[str]()
    for factor, own in bands.items():
        text = table[factor]
        found = pd.to_numeric(text, errors="coerce").astype(float)
        found = found.where(np.isfinite(found))
        if lines := list(table.index[checked & (text != "") & found.isna()]):
            errors.append(f"{csv} {lines_text(lines)}: {own.column} {text[lines[0]]!r} is not a number")
        names = np.array([*own.names, ""])
        index = np.where(found.isna(), len(own.names), own.index(found))
        named[factor], numbers[own.column] = pd.Series(names[index], table.index), found
        present = set(named[factor][train]) - {""}
        if present and (lacking := [name for name in own.names if name not in present]):
            errors.append(
                f"{csv}: {own.column} cut at {' '.join(map(str, own.edges))}: no photo to train on is in the "
                f"band{'s' if len(lacking) > 1 else ''} {few(lacking)}; move or leave out a cut point"
            )
    return named, numbers, errors


def _edges(text: str) -> tuple[tuple[float, ...], list[str]]:
    """(The cut points, what is wrong with them)."""
    words = re.split(r"[\s,;/]+", text.strip()) if text.strip() else []
    if not words:
        return (), [f"names no cut point; write {FORM}"]
    if bad := [
        word for word in words if not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,2})?", word, re.I)
    ]:
        which = "is not a cut point" if len(bad) == 1 else "are no cut points"
        return (), [f"{few([repr(word) for word in bad])} {which}; write {FORM}"]
    edges = tuple(int(number) if number.is_integer() else number for number in map(float, words))
    if list(edges) != sorted(set(edges)):
        return (), ["its cut points do not ascend, each larger than the one before"]
    return edges, []
