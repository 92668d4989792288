"""Groups with nearly the same photos: a validation score is too high if they are on both sides of a split."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import cv2
import numpy as np
import pandas as pd

from common.errors import UsageError
from common.progress import track
from common.threads import in_threads
from dataset.decode import decode
from dataset.pixels import read_to_size, resize

# Photos of the same name are compared at this size (height, width), and their mean correlation counts.
NAMED, NAMED_ALIKE = (24, 18), 0.97
# Other photos are compared at two sizes: all at a coarse one, then alike pairs by their details. Of 3.9
# million pairs of different faces, all upright and of one size, 20 are alike at the coarse one and 2 by their
# details too.
COARSE, COARSE_ALIKE = (16, 16), 0.93
DETAILS, DETAILS_ALIKE = (32, 32), 0.8
BLUR = DETAILS[0] / 12  # standard deviation in pixels; details are what it removes
TINY, TINY_ALIKE = 48, 0.99  # photos with a shorter side have no details, so nearly all must agree

BLOCK = 500  # photos compared with all others at once
COLUMNS = 5000  # of the others, whose details are compared at once
FEW = 20_000  # pairs that are compared one by one
MAX_PAIRS = 1000
MAX_PHOTOS = (
    100_000  # 5 kB of memory each, and a time that grows with their square: some 3 minutes on 2 cores
)

T = TypeVar("T")


class Pair(NamedTuple):
    """Two groups (photos, if each is its own group) that are alike, and the paths of a photo of each."""

    one: str
    other: str
    correlation: float
    paths: tuple[str, str]


class Found(NamedTuple):
    """`pairs`: in the order of the groups if photos were compared `by_name`, else the most alike first.
    `limit`: a sentence if the search stopped early, else ''."""

    pairs: list[Pair]
    by_name: bool
    limit: str


def find(table: pd.DataFrame, progress: bool = False) -> Found:
    """The pairs of groups in a DataFrame of photos (photo, path, group, label) that have nearly the same
    photos.

    If the photos of all groups are named alike (front, left, ...), two groups are alike if their photos of
    the same name are, on average. Otherwise two groups are alike if any photo of one is like a photo of the
    other, or like its mirror image. A group's own photos are not compared with each other.

    Of 200 faces, all copies are found that are in another size, format, JPEG quality (from 10), brightness,
    grey, mirrored, turned by 2 degrees or cropped by 2 % at each side; five in six that are cropped by 2.5 %,
    three in five that are turned by 4 degrees, none that are cropped by 4 %. Copies that are upside down and
    other photos of the same thing are not found. Photos that can't be read and photos of one colour are like
    no other.

    Stops at MAX_PAIRS pairs, or MAX_PHOTOS photos that are not named alike.
    """
    if table["group"].nunique() < 2:
        return Found([], False, "")
    named = table["photo"].map(lambda photo: Path(photo).stem)
    limit = ""
    by_name = not table["group"].is_unique and named.nunique() * table["group"].nunique() <= 2 * len(table)
    if by_name:
        found = _named_alike(table, named, progress)
    else:
        if len(table) > MAX_PHOTOS:
            limit = f"only the first {MAX_PHOTOS:,} of {len(table):,} photos were compared"
            table = table.head(MAX_PHOTOS)
        found = _any_alike(table, progress)
    pairs: dict[tuple[str, str], Pair] = {}
    for pair in found:
        key = pair.one, pair.other
        if key not in pairs and len(pairs) == MAX_PAIRS:
            limit = f"the search stopped at {MAX_PAIRS:,} pairs: there are more"
            break
        pairs[key] = max(pairs.get(key, pair), pair, key=lambda one: one.correlation)
    in_order = list(pairs.values())
    return Found(in_order if by_name else sorted(in_order, key=lambda one: -one.correlation), by_name, limit)


def _named_alike(table: pd.DataFrame, named: pd.Series, progress: bool) -> Iterator[Pair]:
    """Pairs of groups whose photos of the same name have a mean correlation of NAMED_ALIKE or more. A missing
    photo counts as 0. A photo with the group's last label is shown."""
    grey = np.stack(list(_read(_named, table["path"].tolist(), progress)))
    groups, row = np.unique(table["group"], return_inverse=True)
    names, column = np.unique(named, return_inverse=True)
    by_name = np.zeros((len(groups), len(names), grey.shape[1]), np.float32)
    by_name[row, column] = grey / np.sqrt(len(names))
    vectors = by_name.reshape(len(groups), -1)
    shown = table.sort_values("label", kind="stable").drop_duplicates("group", keep="last")
    shown = shown.set_index("group")["path"]
    for start in range(0, len(vectors), BLOCK):
        products = vectors[start : start + BLOCK] @ vectors[start:].T
        for one, other in np.argwhere(products >= NAMED_ALIKE):
            if one < other:
                first, second = groups[start + one], groups[start + other]
                yield Pair(first, second, float(products[one, other]), (shown[first], shown[second]))


def _any_alike(table: pd.DataFrame, progress: bool) -> Iterator[Pair]:
    """Pairs of groups for each pair of photos that are alike at both sizes, or one and the other mirrored."""
    groups, group = np.unique(table["group"], return_inverse=True)
    paths = table["path"].tolist()
    coarse = np.empty((len(table), COARSE[0] * COARSE[1]), np.float32)
    details = np.empty((len(table), DETAILS[0] * DETAILS[1]), np.float16)
    tiny = np.empty(len(table), bool)
    for row, vectors in enumerate(_read(_at_both_sizes, paths, progress)):
        coarse[row], details[row], tiny[row] = vectors
    mirrored = coarse.reshape(-1, *COARSE)[:, :, ::-1].reshape(coarse.shape)
    starts = range(0, len(coarse), BLOCK)
    for start in track(starts, "searching near-duplicates") if progress else starts:
        rows = slice(start, start + BLOCK)
        for others, flip in ((coarse, False), (mirrored, True)):
            products = coarse[rows] @ others[start:].T
            candidates = products >= COARSE_ALIKE
            candidates &= group[rows, None] != group[None, start:]
            if tiny.any():
                candidates &= (products >= TINY_ALIKE) | ~(tiny[rows, None] | tiny[None, start:])
            for row, column in _alike_in_detail(np.triu(candidates, 1), details[rows], details[start:], flip):
                one, other = start + row, start + column
                one, other = (one, other) if group[one] < group[other] else (other, one)
                value, shown = float(products[row, column]), (paths[one], paths[other])
                yield Pair(groups[group[one]], groups[group[other]], value, shown)


def _alike_in_detail(
    candidates: np.ndarray, rows: np.ndarray, columns: np.ndarray, flip: bool
) -> Iterator[tuple[int, int]]:
    """(Row, column) of each of the `candidates`, bool (rows, columns), whose details are alike."""
    for at in range(0, candidates.shape[1], COLUMNS):
        wanted = candidates[:, at : at + COLUMNS]
        one, other = np.nonzero(wanted)
        if not len(one):
            continue
        first, second = rows.astype(np.float32), columns[at : at + COLUMNS].astype(np.float32)
        if flip:
            second = second.reshape(-1, *DETAILS)[:, :, ::-1].reshape(second.shape)
        if len(one) <= FEW:
            products = np.einsum("ij,ij->i", first[one], second[other])
        else:  # the product of all is faster than many pairs one by one
            products = (first @ second.T)[one, other]
        alike = products >= DETAILS_ALIKE
        for row, column in zip(one[alike], other[alike], strict=True):
            yield int(row), at + int(column)


def _read(read: Callable[[str], T], paths: Sequence[str], progress: bool) -> Iterator[T]:
    tracked = track(paths, "reading photos to compare") if progress else paths
    for _, vectors in zip(tracked, in_threads(read, paths), strict=True):
        yield vectors


def _named(path: str) -> np.ndarray:
    """The photo's grey values at NAMED, with mean 0 and length 1; zeros if it has no structure or can't be
    read."""
    try:
        grey = read_to_size(path, NAMED)[0].mean(2, dtype=np.float32)
    except UsageError:
        grey = np.zeros(NAMED, np.float32)
    return _unit(grey)


def _at_both_sizes(path: str) -> tuple[np.ndarray, np.ndarray, bool]:
    """(The photo's grey values at COARSE, its details, each with mean 0 and length 1, whether it is tiny);
    zeros if it has no structure or can't be read."""
    photo = decode(path, (TINY, TINY))[1]
    if photo is None:
        photo = np.zeros((*DETAILS, 3), np.uint8)
    grey = cv2.cvtColor(resize(photo, DETAILS), cv2.COLOR_RGB2GRAY).astype(np.float32)
    details = _unit(grey - cv2.GaussianBlur(grey, (0, 0), BLUR))
    return _unit(resize(grey, COARSE)), details, min(photo.shape[:2]) < TINY


def _unit(grey: np.ndarray) -> np.ndarray:
    """The pixels in one row, less their mean and scaled to length 1; zeros if they have no structure."""
    grey = grey.ravel() - grey.mean()
    length = np.linalg.norm(grey)
    return grey / length if length > 1 else np.zeros_like(grey)
