"""What lies in the folder of decoded photos: arrays, a JSON beside each; the oldest makes room."""

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from common.image_size import size_text
from common.machine import PROJECT

LOCK = "builder.lock"
SPARE = 1.1  # the disk must have so many times the array free: run folders grow beside it


class NoRoom(Exception):
    """Why an array can't be kept, and what to do."""


@dataclass(frozen=True)
class Holds:
    """What an array holds. `place`, `names`, `key`: the photos' identity (dataset/cache/identity.py)."""

    place: str
    names: str
    key: str
    photos: int
    size: tuple[int, int] | None  # height, width; None: no pixels, but where the faces are
    interpolation: str = "any"  # "any" where all photos shrank: it had no part then
    crop: str = "none"

    @property
    def name(self) -> str:
        if self.size is None:
            return f"faces-{self.key}.npy"
        return f"photos-{size_text(self.size)}-{self.key}-{self.interpolation}.npy"


@dataclass(frozen=True)
class Entry:
    """An array in the folder; `holds` is None where its JSON is missing or of another kind."""

    path: Path
    holds: Holds | None
    bytes: int
    used: float  # seconds since 1970

    @property
    def size(self) -> str:
        """HEIGHTxWIDTH or 'faces', from its name."""
        found = re.match(r"(?:photos-)?(\d+x\d+|faces)-", self.path.name)
        return found[1] if found else "?"

    def remove(self) -> None:
        """Whoever has it mapped goes on reading it; the disk has its room back when the last one ends."""
        self.path.unlink(missing_ok=True)
        self.path.with_suffix(".json").unlink(missing_ok=True)


def note(path: Path, holds: Holds) -> None:
    path.with_suffix(".json").write_text(json.dumps(asdict(holds), indent=1))


def entries(folder: Path) -> list[Entry]:
    """Every array in the folder, the least recently used first."""
    found = []
    for path in folder.glob("*.npy"):
        with suppress(FileNotFoundError):  # removed meanwhile
            facts = path.stat()
            found.append(Entry(path, _holds(path.with_suffix(".json")), facts.st_size, facts.st_mtime))
    return sorted(found, key=lambda entry: entry.used)


def _holds(path: Path) -> Holds | None:
    try:
        facts = json.loads(path.read_text())
        return Holds(**{**facts, "size": facts["size"] and tuple(facts["size"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def touch(path: Path) -> None:
    """Now is when it was used last."""
    with suppress(OSError):  # a read-only place, or removed meanwhile
        os.utime(path)


def sweep(folder: Path) -> None:
    """Removes what a killed builder left; only for who holds the builder's lock."""
    leftovers = folder.glob("*.part")
    notes = [path for path in folder.glob("*-*.json") if not path.with_suffix(".npy").exists()]
    for path in (*leftovers, *notes):
        path.unlink(missing_ok=True)


def remove_outdated(folder: Path, wanted: Holds) -> bool:
    """Removes what these photos were at this size before they changed; whether there was any."""
    old = [
        entry
        for entry in entries(folder)
        if entry.holds
        and (entry.holds.names, entry.holds.size) == (wanted.names, wanted.size)
        and entry.holds.key != wanted.key
    ]
    for entry in old:
        entry.remove()
    return bool(old)


def remove_lost(folder: Path) -> Iterator[tuple[Entry, str]]:
    """Removes what was decoded from folders that are there no more; yields each and that folder."""
    for entry in entries(folder):
        if entry.holds and not os.path.isdir(entry.holds.place):
            entry.remove()
            yield entry, entry.holds.place


def make_room(folder: Path, need: int, limit: int) -> Iterator[Entry]:
    """Removes the least recently used arrays until `need` bytes fit below the limit and on the disk; yields
    each. NoRoom, with nothing removed, where that would not do. Faces stay: small, and long to find."""
    there = [entry for entry in entries(folder) if entry.size != "faces"]
    kept = sum(entry.bytes for entry in there)
    free = shutil.disk_usage(folder).free
    if need * SPARE > free + kept:
        raise NoRoom(f"the disk of {shown(folder)} has {amount(free)} free: free some space")
    for entry in there:
        if kept + need <= limit and need * SPARE <= free:
            return
        entry.remove()
        kept, free = kept - entry.bytes, free + entry.bytes
        yield entry


def shown(path: Path | str) -> str:
    """The path, from the project's folder where it lies below it."""
    path = Path(path)
    return str(path.relative_to(PROJECT)) if path.is_relative_to(PROJECT) else str(path)


def amount(size: int) -> str:
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.1f} MiB"
