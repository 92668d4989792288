"""Photos that no CSV lists: all images of a folder."""

import os
from pathlib import Path

import pandas as pd

from common.errors import UsageError
from dataset.photo_file import not_a_file
from dataset.tables import empty_table, print_notes

COLUMNS = ("photo", "path")
EXTENSIONS = (".jpg", ".jpeg", ".png")
NOT_READ = (".webp", ".heic", ".heif", ".avif", ".bmp", ".gif", ".tif", ".tiff", ".jfif", ".jpe", ".jp2")
MOST_SKIPPED = 20  # names in one line


def read_images(folder: Path) -> pd.DataFrame:
    """Columns photo (path below `folder`, with /) and path (absolute) of all images in a folder and those
    below it, sorted by photo; prints which other files were skipped. UsageError if there is none."""
    table, errors = scan_images(Path(folder))
    if errors:
        raise UsageError(errors)
    print_notes(table)
    return table


def scan_images(folder: Path, nested: bool = True, why: str = "") -> tuple[pd.DataFrame, list[str]]:
    """`read_images`' table and every error; `nested`: also the images in folders below. How they were found
    and what was skipped is in `table.attrs["notes"]`, after `why`."""
    if not folder.is_dir():
        return empty_table(COLUMNS), [f"no folder {folder}; give a folder of photos"]
    named, skipped = _files_below(folder, "", nested, {folder.resolve()})
    odd = {name: why_not for name in sorted(named) if (why_not := not_a_file(folder / name))}
    errors = [f"{folder / name}: {why_not}" for name, why_not in odd.items()]
    found = [name for name in named if name not in odd]
    # pandas can't hold such a name either (its texts are Arrow's).
    errors += [f"{str(folder / name)!r}: the name is not UTF-8, so no CSV can hold it; rename the file"
               for name in found if not _is_text(str(folder.absolute() / name))]  # fmt: skip
    errors += [f"{str(folder / name)!r}: spaces around the name or a line break in it; rename the file"
               for name in found if name != name.strip() or {"\r", "\n"} & set(name)]  # fmt: skip
    if not named:
        errors.append(f"{folder}: holds no image ({', '.join(EXTENSIONS)})")
    if errors:
        return empty_table(COLUMNS), errors
    found.sort()
    table = pd.DataFrame({"photo": found, "path": [str(folder.absolute() / name) for name in found]})
    words = f"{why}all {len(found):,} images in {folder} are taken, sorted by name"
    if skipped:
        # What may be a photo after all comes first, before the line is cut.
        skipped.sort(key=lambda name: (Path(name).suffix.lower() not in NOT_READ, name))
        few = ", ".join(repr(name) for name in skipped[:MOST_SKIPPED])
        more = f" and {len(skipped) - MOST_SKIPPED:,} more" if len(skipped) > MOST_SKIPPED else ""
        words += f"; skipped: {few}{more} (only {', '.join(EXTENSIONS)} are read)"
    table.attrs["notes"] = [words]
    return table, []


def _files_below(folder: Path, inside: str, nested: bool, seen: set[Path]) -> tuple[list[str], list[str]]:
    """(what is named like an image, what else there is) by their paths below the first folder. Links are
    followed; a folder that was seen before is not entered again, and hidden ones never."""
    images, others = [], []
    for name in sorted(os.listdir(folder)):
        path, hidden = folder / name, name.startswith(".")
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


def _is_text(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
