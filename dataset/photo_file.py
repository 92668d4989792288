"""What a file is, looked at before it is opened: a FIFO opened for reading waits for ever."""

import errno
import os
import stat
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

MAX_PIXELS = 100_000_000  # of one photo: decoded, it takes three bytes each in every thread
MAX_BYTES = 8 * MAX_PIXELS  # so many pixels of four channels and 16 bits, not even compressed
TOO_LARGE = f"too large (the limit is {MAX_PIXELS // 10**6} megapixels); make it smaller"

KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe (FIFO)"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
# What Windows, macOS and storage servers leave in folders; names that begin with a dot (.DS_Store,
# ._mask1.jpg, .ipynb_checkpoints) are of the same kind.
SYSTEM_FILES = ("thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "@eadir", "icon\r")
MOST_NAMES = 5


def not_a_file(path: str | Path, what: str = "a photo") -> str:
    """Why `path` can't be read as `what`, "" if it can: it must be a regular file, or a link to one."""
    try:
        facts = os.stat(path)
    except OSError as error:
        if error.errno == errno.ELOOP:
            return "a link that leads back to itself"
        if os.path.islink(path) and error.errno in (errno.ENOENT, errno.ENOTDIR):
            return f"a link to {os.readlink(path)}, which doesn't exist"
        return f"can't be read ({error.strerror})"
    if not stat.S_ISREG(facts.st_mode):
        kind = next((name for is_kind, name in KINDS if is_kind(facts.st_mode)), "a special file")
        return f"{kind}, not {what}"
    if facts.st_size > MAX_BYTES:
        return f"too large for {what}: {facts.st_size / 1e6:,.0f} MB, the limit is {MAX_BYTES / 1e6:,.0f}"
    return ""


def not_a_photo(entry: os.DirEntry) -> str:
    """As `not_a_file`; a plain file costs no look at the disk."""
    return "" if entry.is_file(follow_symlinks=False) else not_a_file(entry.path)


def too_large(height: int, width: int) -> str:
    """Why a photo of this size is not decoded, "" if it is."""
    return f"{width:,} x {height:,} pixels, {TOO_LARGE}" if height * width > MAX_PIXELS else ""


def is_system_file(name: str) -> bool:
    """Whether a name is hidden, or of what an operating system leaves behind."""
    return name.startswith(".") or name.lower() in SYSTEM_FILES


def skipped_line(names: Iterable[str], where: str | Path) -> list[str]:
    """[A sentence on the hidden and system files that were passed over in `where`], [] if there are none."""
    counts = Counter(names)
    if not counts:
        return []
    few = [name if count == 1 else f"{name} ({count} times)" for name, count in sorted(counts.items())]
    more = [f"{len(few) - MOST_NAMES} more"] if len(few) > MOST_NAMES else []
    files = "1 hidden or system file" if counts.total() == 1 else f"{counts.total():,} hidden or system files"
    return [f"skipped {files} in {where}: {', '.join(few[:MOST_NAMES] + more)}"]
