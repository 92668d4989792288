"""The command `python -m dataset cache`: what is decoded, listed, removed or added to."""

import math
import re
import time
from pathlib import Path

import typer

from dataset import cache
from dataset.builder import tidy
from dataset.errors import CallersMistake
from dataset.photos import read_train
from dataset.pixels import INTERPOLATIONS
from dataset.shelf import Entry, amount, entries, shown


def refuse_unheard(
    remove: bool, size: str | None, older_than: float | None, interpolation: str | None, limit: float | None
) -> None:
    """CallersMistake names every option that would change nothing."""
    faults = []
    if older_than is not None and not remove:
        faults.append("--older-than goes with --remove")
    for option, value in (("--interpolation", interpolation), ("--limit", limit)):
        if value is not None and (remove or size is None):
            faults.append(f"{option} goes with a set and --size, to decode it beforehand, not with --remove")
    if faults:
        raise CallersMistake(faults)


def show() -> None:
    """The arrays, last used last."""
    found = entries(cache.CACHE)
    if found:
        print(f"{'size':9} {'photos':>6} {'takes':>10}  {'last used':16}  photos in")
    for entry in found:
        used = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.used))
        photos, place = (entry.holds.photos, shown(entry.holds.place)) if entry.holds else ("?", "?")
        print(f"{entry.size:9} {photos:>6} {amount(entry.bytes):>10}  {used:16}  {place}")
    print(_total(found, f"in {shown(cache.CACHE)}"))


def remove(data: Path | None, size: str | None, older_than: float | None) -> None:
    """Removes all arrays, or those of this set, this size, not used for so many days; says which."""
    chosen = entries(cache.CACHE)
    if data is not None:
        place = data.resolve()
        chosen = [entry for entry in chosen if entry.holds and Path(entry.holds.place).is_relative_to(place)]
    if size is not None:
        height, width = _size(size)
        chosen = [entry for entry in chosen if entry.size == f"{height}x{width}"]
    if older_than is not None:
        chosen = [entry for entry in chosen if entry.used < time.time() - older_than * 24 * 3600]
    for entry in chosen:
        entry.remove()
        print(f"removed {shown(entry.path)} ({amount(entry.bytes)})")
    tidy(cache.CACHE)
    print(_total(chosen, "removed"))


def decode(data: Path | None, size: str | None, interpolation: str, limit: float | None) -> None:
    """Decodes the set's train half as trials will want it. `limit`: GiB, or None: as many as usual."""
    if data is None or size is None:
        raise CallersMistake("to decode beforehand, give both a set and --size HEIGHTxWIDTH")
    if interpolation not in INTERPOLATIONS:
        raise CallersMistake(f"unknown interpolation {interpolation!r}; known: {', '.join(INTERPOLATIONS)}")
    if limit is not None and not 0 < limit < math.inf:
        raise CallersMistake(f"--limit {limit:g}: give a number of GiB above 0")
    wanted = _size(size)
    paths = list(read_train(data)["path"])
    most = cache.LIMIT if limit is None else math.ceil(limit * 2**30)
    if cache.cached(paths, wanted, interpolation, cache.CACHE, most) is None:
        raise typer.Exit(2)  # why has been said
    print(f"{len(paths)} photos at {size} lie in {shown(cache.CACHE)}")


def _size(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", text)
    if not found:
        raise CallersMistake(f"--size {text}: give HEIGHTxWIDTH, say 128x96")
    return int(found[1]), int(found[2])


def _total(found: list[Entry], what: str) -> str:
    arrays = "1 array" if len(found) == 1 else f"{len(found)} arrays"
    return f"{arrays} {what}, {amount(sum(entry.bytes for entry in found))}"
