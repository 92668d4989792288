"""The command `python -m dataset cache`: list, remove or build the arrays of decoded photos."""

import math
import time
from pathlib import Path

import typer

from common.errors import UsageError, unknown
from common.image_size import Size, read_size, size_text
from common.text import bytes_text, path_text
from dataset.cache import arrays
from dataset.cache.store import Entry, entries, tidy
from dataset.crops import CROPS
from dataset.pixels import INTERPOLATIONS
from dataset.read import read_train


def refuse_unused(
    remove: bool,
    size: str | None,
    older_than: float | None,
    interpolation: str | None,
    crop: str | None,
    limit: float | None,
) -> None:
    """UsageError for every option that would have no effect."""
    errors = []
    if older_than is not None and not remove:
        errors.append("--older-than goes with --remove")
    for option, value in (("--interpolation", interpolation), ("--crop", crop), ("--limit", limit)):
        if value is not None and (remove or size is None):
            errors.append(f"{option} goes with a data set and --size, not with --remove")
    if errors:
        raise UsageError(errors)


def show() -> None:
    """Print a table of the arrays, the most recently used one last, and their total size."""
    found = entries(arrays.CACHE)
    crops = [entry.info.crop if entry.info else "?" for entry in found]
    width = max(map(len, ["crop", *crops]))
    if found:
        print(f"{'size':9} {'photos':>6} {'disk':>10}  {'last used':16}  {'crop':{width}}  photos in")
    for entry, crop in zip(found, crops, strict=True):
        used = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.used))
        photos, place = (entry.info.photos, path_text(entry.info.place)) if entry.info else ("?", "?")
        disk = bytes_text(entry.bytes)
        print(f"{entry.size:9} {photos:>6} {disk:>10}  {used:16}  {crop:{width}}  {place}")
    print(_total(found, f"in {path_text(arrays.CACHE)}"))


def remove(data: Path | None, size: str | None, older_than: float | None) -> None:
    """Remove arrays and print them: all, or only those of the data set `data`, of HEIGHTxWIDTH `size`, or not
    used for `older_than` days."""
    chosen = entries(arrays.CACHE)
    if data is not None:
        # An array knows the real place of its photos: folders of a set may be links.
        places = [folder.resolve() for folder in (data, *data.glob("*/"), *data.glob("*/images/"))]
        chosen = [
            entry
            for entry in chosen
            if entry.info and any(Path(entry.info.place).is_relative_to(place) for place in places)
        ]
    if size is not None:
        wanted = size_text(_size(size))
        chosen = [entry for entry in chosen if entry.size == wanted]
    if older_than is not None:
        chosen = [entry for entry in chosen if entry.used < time.time() - older_than * 24 * 3600]
    for entry in chosen:
        entry.remove()
        print(f"removed {path_text(entry.path)} ({bytes_text(entry.bytes)})")
    tidy(arrays.CACHE)
    print(_total(chosen, "removed"))


def decode(
    data: Path | None, size: str | None, interpolation: str, crop: str, limit: float | None, group: str = ""
) -> None:
    """Decode the photos to train on as trials will use them. `limit`: GiB of the cache, by default 20."""
    if data is None or size is None:
        raise UsageError("to decode photos, give both a data set and --size HEIGHTxWIDTH")
    if interpolation not in INTERPOLATIONS:
        raise UsageError(unknown("interpolation", interpolation, INTERPOLATIONS))
    if crop not in CROPS:
        raise UsageError(unknown("crop", crop, CROPS))
    if limit is not None and not 0 < limit < math.inf:
        raise UsageError(f"--limit {limit:g}: give a number of GiB above 0")
    wanted = _size(size)
    paths = read_train(data, group=group).table["path"].array
    max_bytes = arrays.LIMIT if limit is None else math.ceil(limit * 2**30)
    crop_boxes = CROPS[crop](paths, wanted)
    if arrays.cached(paths, wanted, interpolation, arrays.CACHE, max_bytes, crop_boxes) is None:
        raise typer.Exit(2)  # the reason was logged
    print(f"{len(paths)} photos at {size} are cached in {path_text(arrays.CACHE)}")


def _size(text: str) -> Size:
    errors: list[str] = []
    size = read_size(text, errors, "--size")
    if size is None:
        raise UsageError(errors)
    return size


def _total(found: list[Entry], what: str) -> str:
    count = "1 array" if len(found) == 1 else f"{len(found)} arrays"
    return f"{count} {what}, {bytes_text(sum(entry.bytes for entry in found))}"
