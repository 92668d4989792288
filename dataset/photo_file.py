"""Check what a file is before it is opened: reading from a FIFO, for example, would block for ever."""

import errno
import os
import stat
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from common.text import few

MAX_PIXELS = 100_000_000  # of one photo; decoded, each takes 3 bytes, in every thread
MAX_BYTES = 8 * MAX_PIXELS  # MAX_PIXELS uncompressed, with four channels of 16 bits
TOO_LARGE = f"too large (the limit is {MAX_PIXELS // 10**6} megapixels); make it smaller"

KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe (FIFO)"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
# Left in folders by Windows, macOS and storage servers, as are names that begin with a dot (.DS_Store,
# ._mask1.jpg, .ipynb_checkpoints).
SYSTEM_FILES = ("thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "@eadir", "icon\r")


def file_error(path: str | Path, what: str = "a photo") -> str:
    """Why `path` can't be read as `what`; "" if it can: a regular file, or a link to one, of <= MAX_BYTES."""
    try:
        status = os.stat(path)
    except OSError as error:
        if error.errno == errno.ELOOP:
            return "a link that leads back to itself"
        if os.path.islink(path) and error.errno in (errno.ENOENT, errno.ENOTDIR):
            return f"a link to {os.readlink(path)}, which doesn't exist"
        return f"can't be read ({error.strerror})"
    if not stat.S_ISREG(status.st_mode):
        kind = next((name for is_kind, name in KINDS if is_kind(status.st_mode)), "a special file")
        return f"{kind}, not {what}"
    if status.st_size > MAX_BYTES:
        return f"too large for {what}: {status.st_size / 1e6:,.0f} MB, the limit is {MAX_BYTES / 1e6:,.0f}"
    return ""


def entry_error(entry: os.DirEntry) -> str:
    """As `file_error`, without a system call if the entry is a regular file."""
    return "" if entry.is_file(follow_symlinks=False) else file_error(entry.path)


def size_error(height: int, width: int) -> str:
    """Why a photo of this size in pixels is not decoded; "" if it is."""
    return f"{width:,} x {height:,} pixels, {TOO_LARGE}" if height * width > MAX_PIXELS else ""


def is_system_file(name: str) -> bool:
    """Whether the name is of a hidden file or of one that an operating system leaves behind."""
    return name.startswith(".") or name.lower() in SYSTEM_FILES


def skipped_notes(names: Iterable[str], where: str | Path) -> list[str]:
    """[A message on the hidden and system files skipped in `where`], [] if there are none."""
    counts = Counter(names)
    if not counts:
        return []
    found = [name if count == 1 else f"{name} ({count} times)" for name, count in sorted(counts.items())]
    files = "1 hidden or system file" if counts.total() == 1 else f"{counts.total():,} hidden or system files"
    return [f"skipped {files} in {where}: {few(found)}"]
