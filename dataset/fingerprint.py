"""One short text that says which data a run has seen; computed once a data set, not once a trial."""

import hashlib
import json
import os
import tempfile
from pathlib import Path

from dataset.errors import CallersMistake

REMEMBERED = Path(__file__).resolve().parent.parent / "out" / "cache" / "fingerprints.json"
MOST_REMEMBERED = 50


def fingerprint(data: Path, recompute: bool = False, remembered: Path = REMEMBERED) -> str:
    """64 hex digits over path (within the set), size and time of every file in train/ and eval/.

    Remembered in the file `remembered` under cheap facts: where the set lies, size and time of its CSVs, time
    of every folder. So a file added, removed or replaced is noticed at once; one rewritten in place only with
    `recompute=True` (what `python -m dataset check` does). Safe with several processes at a time.
    """
    data = Path(data).resolve()
    if not data.is_dir():
        raise CallersMistake(f"no folder {data}; give the folder that holds train/ and eval/")
    key = _digest(_cheap_facts(data))
    known = _read(remembered)
    if not recompute and key in known:
        return known[key]
    found = _digest(_every_file(data))
    if known.pop(key, None) != found or recompute:
        _write(remembered, {**known, key: found})
    return found


def _cheap_facts(data: Path):
    yield str(data)
    for csv in (data / "train" / "train.csv", data / "eval" / "info.csv"):
        if csv.is_file():
            yield csv.name, csv.stat().st_size, csv.stat().st_mtime_ns
    images = data / "train" / "images"
    for folder in (data / "eval" / "images", images, *(sorted(images.iterdir()) if images.is_dir() else ())):
        if folder.is_dir():
            yield folder.name, folder.stat().st_mtime_ns


def _every_file(data: Path):
    for half in ("train", "eval"):
        for folder, folders, files in os.walk(data / half, followlinks=True):
            folders.sort()
            for name in sorted(files):
                if not name.startswith("."):
                    path = Path(folder, name)
                    yield path.relative_to(data).as_posix(), path.stat().st_size, path.stat().st_mtime_ns


def _digest(facts) -> str:
    digest = hashlib.sha256()
    for fact in facts:
        digest.update(json.dumps(fact).encode() + b"\n")
    return digest.hexdigest()


def _read(remembered: Path) -> dict[str, str]:
    try:
        return dict(json.loads(remembered.read_text()))
    except (OSError, ValueError, TypeError):
        return {}


def _write(remembered: Path, known: dict[str, str]) -> None:
    """Replaced as a whole; of two writers at once one entry may be lost, which costs one more computation."""
    try:
        remembered.parent.mkdir(parents=True, exist_ok=True)
        handle, part = tempfile.mkstemp(dir=remembered.parent, prefix=remembered.name, suffix=".part")
        with os.fdopen(handle, "w") as file:
            json.dump(dict(list(known.items())[-MOST_REMEMBERED:]), file, indent=1)
        os.replace(part, remembered)
    except OSError:
        return  # A read-only place: the fingerprint is right all the same, only not remembered.
