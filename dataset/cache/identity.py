"""What tells one set of photos from another, so that what was made of it is found again."""

import hashlib
import json
import os
from collections.abc import Sequence
from typing import NamedTuple


class Identity(NamedTuple):
    """`place`: the photos' folder, without links; `names`: a hash of it, the photos and how they are
    treated; `key`: one of these, the photos' sizes and times."""

    place: str
    names: str
    key: str


def identity(paths: Sequence[str], how: Sequence[object], more: Sequence[object] = ()) -> Identity:
    """The identity of `paths`, treated as `how` says; `more` goes into the key alone."""
    # What the first and the last have in common, all have.
    common = os.path.commonpath([os.path.dirname(min(paths)), os.path.dirname(max(paths))])
    place = os.path.realpath(common)  # through a link or not, they are the same photos
    names = _hash([*how, place, [path[len(common) :] for path in paths]])
    return Identity(place, names, _hash([names, [_mark(path) for path in paths], *more]))


def _mark(path: str) -> tuple[int, int] | None:
    """What changes with the photo; None where there is none, which whoever reads it will say."""
    try:
        facts = os.stat(path)
    except OSError:
        return None
    return facts.st_size, facts.st_mtime_ns


def _hash(facts: list) -> str:
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]
