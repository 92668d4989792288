"""The command `python -m dataset cache`: what is decoded, listed, removed or added to."""

import math
import time
from pathlib import Path

import typer

from common.errors import UsageError, unknown
from common.image_size import Size, read_size, size_text
from dataset import boxes
from dataset.cache import arrays
from dataset.cache.build import tidy
from dataset.cache.store import Entry, amount, entries, shown
from dataset.photos import read_train
from dataset.pixels import INTERPOLATIONS

CROPS = ("none", "center", "face")


def refuse_unheard(
    remove: bool,
    size: str | None,
    older_than: float | None,
    interpolation: str | None,
    crop: str | None,
    limit: float | None,
) -> None:
    """UsageError names every option that would change nothing."""
    errors = []
    if older_than is not None and not remove:
        errors.append("--older-than goes with --remove")
    for option, value in (("--interpolation", interpolation), ("--crop", crop), ("--limit", limit)):
        if value is not None and (remove or size is None):
            errors.append(f"{option} goes with a set and --size, to decode it beforehand, not with --remove")
    if errors:
        raise UsageError(errors)


def show() -> None:
    """The arrays, last used last."""
    found = entries(arrays.CACHE)
    crops = [entry.holds.crop if entry.holds else "?" for entry in found]
    wide = max(map(len, ["crop", *crops]))
    if found:
        print(f"{'size':9} {'photos':>6} {'takes':>10}  {'last used':16}  {'crop':{wide}}  photos in")
    for entry, crop in zip(found, crops, strict=True):
        used = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.used))
        photos, place = (entry.holds.photos, shown(entry.holds.place)) if entry.holds else ("?", "?")
        takes = amount(entry.bytes)
        print(f"{entry.size:9} {photos:>6} {takes:>10}  {used:16}  {crop:{wide}}  {place}")
    print(_total(found, f"in {shown(arrays.CACHE)}"))


def remove(data: Path | None, size: str | None, older_than: float | None) -> None:
    """Removes all arrays, or those of this set, this size, not used for so many days; says which."""
    chosen = entries(arrays.CACHE)
    if data is not None:
        place = data.resolve()
        chosen = [entry for entry in chosen if entry.holds and Path(entry.holds.place).is_relative_to(place)]
    if size is not None:
        wanted = size_text(_size(size))
        chosen = [entry for entry in chosen if entry.size == wanted]
    if older_than is not None:
        chosen = [entry for entry in chosen if entry.used < time.time() - older_than * 24 * 3600]
    for entry in chosen:
        entry.remove()
        print(f"removed {shown(entry.path)} ({amount(entry.bytes)})")
    tidy(arrays.CACHE)
    print(_total(chosen, "removed"))


def decode(data: Path | None, size: str | None, interpolation: str, crop: str, limit: float | None) -> None:
    """Decodes the set's train half as trials will want it. `limit`: GiB, or None: as many as usual."""
    if data is None or size is None:
        raise UsageError("to decode beforehand, give both a set and --size HEIGHTxWIDTH")
    if interpolation not in INTERPOLATIONS:
        raise UsageError(unknown("interpolation", interpolation, INTERPOLATIONS))
    if crop not in CROPS:
        raise UsageError(unknown("crop", crop, CROPS))
    if limit is not None and not 0 < limit < math.inf:
        raise UsageError(f"--limit {limit:g}: give a number of GiB above 0")
    wanted = _size(size)
    paths = list(read_train(data)["path"])
    most = arrays.LIMIT if limit is None else math.ceil(limit * 2**30)
    kept = _crop(crop, paths, wanted)
    if arrays.cached(paths, wanted, interpolation, arrays.CACHE, most, kept) is None:
        raise typer.Exit(2)  # why has been said
    print(f"{len(paths)} photos at {size} lie in {shown(arrays.CACHE)}")


def _crop(name: str, paths: list[str], size: Size) -> boxes.Crop | None:
    if name == "face":
        from dataset.faces.locate import face_crop

        return face_crop(paths, size, boxes.MARGIN, boxes.HEIGHT, boxes.WIDTH)
    return boxes.center(len(paths), boxes.HEIGHT, boxes.WIDTH) if name == "center" else None


def _size(text: str) -> Size:
    errors: list[str] = []
    size = read_size(text, errors, "--size")
    if size is None:
        raise UsageError(errors)
    return size


def _total(found: list[Entry], what: str) -> str:
    arrays = "1 array" if len(found) == 1 else f"{len(found)} arrays"
    return f"{arrays} {what}, {amount(sum(entry.bytes for entry in found))}"
