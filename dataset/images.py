"""Read a folder of photos without a CSV: all images in it and below it."""

import os
from pathlib import Path

import pandas as pd

from common.errors import UsageError
from common.text import few
from dataset.photo_file import file_error, is_system_file
from dataset.tables import empty_table, log_notes

COLUMNS = ("photo", "path")
EXTENSIONS = (".jpg", ".jpeg", ".png")
NOT_READ = (".webp", ".heic", ".heif", ".avif", ".bmp", ".gif", ".tif", ".tiff", ".jfif", ".jpe", ".jp2")
MAX_SKIPPED = 20  # file names in one message


def read_images(folder: Path) -> pd.DataFrame:
    """DataFrame of all images in a folder and the folders below it, sorted by photo.

    Columns: photo (path below `folder`, with /) and path (absolute). Other files are skipped and logged.
    UsageError with every error: no image at all, special files, names that a CSV can't hold.
    """
    table, errors = scan_images(Path(folder))
    if errors:
        raise UsageError(errors)
    log_notes(table)
    return table


def scan_images(folder: Path, nested: bool = True, why: str = "") -> tuple[pd.DataFrame, list[str]]:
    """(The DataFrame of `read_images`, all errors). `nested`: also read the folders below. The note on what
    was taken and skipped is in `table.attrs["notes"]` and begins with `why`."""
    if not folder.is_dir():
        return empty_table(COLUMNS), [f"no folder {folder}; give a folder of photos"]
    named, skipped = _files_below(folder, "", nested, {folder.resolve()})
    special = {name: reason for name in sorted(named) if (reason := file_error(folder / name))}
    errors = [f"{folder / name}: {reason}" for name, reason in special.items()]
    found = [name for name in named if name not in special]
    # pandas can't hold it either: it keeps text as UTF-8 (Arrow).
    errors += [f"{str(folder / name)!r}: the name is not UTF-8, so no CSV can hold it; rename the file"
               for name in found if not _is_utf8(str(folder.absolute() / name))]  # fmt: skip
    errors += [f"{str(folder / name)!r}: spaces around the name or a line break in it; rename the file"
               for name in found if name != name.strip() or {"\r", "\n"} & set(name)]  # fmt: skip
    if not named:
        errors.append(f"{folder}: contains no image ({', '.join(EXTENSIONS)}); give a folder of photos")
    if errors:
        return empty_table(COLUMNS), errors
    found.sort()
    table = pd.DataFrame({"photo": found, "path": [str(folder.absolute() / name) for name in found]})
    note = f"{why}all {len(found):,} images in {folder} are taken, sorted by name"
    if skipped:
        # Images of other formats come first, so that they are not cut off.
        skipped.sort(key=lambda name: (Path(name).suffix.lower() not in NOT_READ, name))
        names = few([repr(name) for name in skipped], MAX_SKIPPED)
        note += f"; skipped: {names} (only {', '.join(EXTENSIONS)} are read)"
    table.attrs["notes"] = [note]
    return table, []


def _files_below(folder: Path, inside: str, nested: bool, seen: set[Path]) -> tuple[list[str], list[str]]:
    """(files with an image's extension, everything else), as paths below the first folder.

    Links are followed, but no folder is entered twice. Hidden and system files and folders are not images.
    """
    images, others = [], []
    for name in sorted(os.listdir(folder)):
        path, hidden = folder / name, is_system_file(name)
        if os.path.isdir(path) and path.suffix.lower() not in EXTENSIONS:
            if hidden or not nested or (real := path.resolve()) in seen:
                others.append(f"{inside}{name}/")
                continue
            seen.add(real)
            below = _files_below(path, f"{inside}{name}/", nested, seen)
            images += below[0]
            others += below[1]
        elif path.suffix.lower() in EXTENSIONS and not hidden:
            images.append(inside + name)
        else:
            others.append(inside + name)
    return images, others


def _is_utf8(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
