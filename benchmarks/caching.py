"""Speed of decoding photos into the cache: photos per second, from JPEGs of 512x384 to an array on the disk.

The rivals decode with PIL, antialiased as by default: one process that resizes with PIL (by averaging areas,
as the cache does), and torchvision's Resize (bilinear) in a DataLoader of two workers; neither writes to the
disk. The last rows compare larger sets with the smallest: the cost per photo is the same.

    python -m benchmarks caching            (under a minute on 2 cores)
"""

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import redirect_stderr
from functools import partial
from io import StringIO
from pathlib import Path

import numpy as np
from PIL import Image
from torch.utils.data import DataLoader
from torchvision import transforms

from benchmarks.measure import Row, in_turn
from benchmarks.rivals import PlainPhotos
from dataset.cache.arrays import cached
from dataset.face_masks.drawing.synthetic import draw
from dataset.read import read_train

SIZES = ((96, 72), (128, 96), (224, 168), (512, 384))
COUNTS = (200, 400, 800)
Size = tuple[int, int]


def ours(paths: list[str], size: Size, folder: Path) -> float:
    started = time.perf_counter()
    with redirect_stderr(StringIO()):
        assert cached(paths, size, "bilinear", folder) is not None
    seconds = time.perf_counter() - started
    shutil.rmtree(folder)
    return len(paths) / seconds


def pil(paths: list[str], size: Size) -> float:
    started = time.perf_counter()
    array = np.empty((len(paths), *size, 3), np.uint8)
    for row, path in enumerate(paths):
        photo = Image.open(path).convert("RGB").resize(size[::-1], Image.Resampling.BOX)
        array[row] = np.asarray(photo)
    return len(paths) / (time.perf_counter() - started)


def workers(paths: list[str], size: Size) -> float:
    started = time.perf_counter()
    transform = transforms.Compose([transforms.Resize(size), transforms.PILToTensor()])
    for _ in DataLoader(PlainPhotos({"path": paths}, transform), 64, num_workers=2):
        pass
    return len(paths) / (time.perf_counter() - started)


def rows(quick: bool = False) -> Iterator[Row]:
    """Two rivals at every size, then every count against the smallest; `quick`: a quarter, two sizes."""
    sizes, counts = (SIZES[1::2], tuple(n // 4 for n in COUNTS)) if quick else (SIZES, COUNTS)
    repeats = 1 if quick else 3
    with tempfile.TemporaryDirectory() as place:
        data = draw(Path(place, "set"), 18 if quick else 80, 6, 1, height=512, width=384)
        drawn = list(read_train(data).table["path"])
        # The largest set holds photos twice, which saves the time to draw them.
        photos, cache = (drawn * 2)[: counts[-1]], Path(place, "cache")
        some = photos[: counts[1]]
        for size in sizes:
            values = in_turn(
                {
                    "ours": partial(ours, some, size, cache),
                    "PIL, one process": partial(pil, some, size),
                    "PIL, torchvision, 2 workers": partial(workers, some, size),
                },
                repeats,
            )
            what = f"decoded once at {size[0]}x{size[1]}"
            yield from (Row(what, "photos/s", values, "ours", rival) for rival in list(values)[1:])
        sets = {f"{count} photos": partial(ours, photos[:count], SIZES[1], cache) for count in counts}
        values = in_turn(sets, repeats)
        smallest, *others = values
        yield from (Row(f"{larger}, at 128x96", "photos/s", values, larger, smallest) for larger in others)
