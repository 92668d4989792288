"""Input, training step and whole epoch, against the plain way, timm's loader and the limit.

    python -m benchmarks training [--quick]

Ours is what a trial runs: `fit` over the cached photos, policy light, batch 64, all cores. The limit has the
faster of NCHW and channels_last, and the same precision; the plain way and timm have the better of one worker
and two. Photos are drawn JPEGs, 256x192 for small sizes and 512x384 for the full one.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import torch

from benchmarks import rivals
from benchmarks.measure import Row, Way, in_turn
from common.image_size import size_text
from dataset.face_masks.labels import FACE_MASK
from trial import recipe as recipe_parts
from trial.augment.pipeline import batch_transform
from trial.config import TrialConfig, parse
from trial.data import batches
from trial.fit import fit
from trial.process.compute import decide
from trial.rng import Draw, stream

SIZES = ((96, 72), (128, 96), (224, 168), (512, 384))
MODELS = ("lcnet_050", "resnet18", "resnet34")
BATCH = 64
MIN_SECONDS = 1
Values = dict[str, list[float]]


def recipe(model: str, size: tuple[int, int], batch: int = BATCH, **more) -> TrialConfig:
    return parse(
        dict(model=model, weights="none", image_size=size_text(size), augment="light", batch_size=batch,
             optimizer="adamw", learning_rate=0.001, epochs=1000, **more)
    )  # fmt: skip


def photos_of(table, size: tuple[int, int], folder: Path) -> np.ndarray:
    """The cached photos of a DataFrame, in a cache of the benchmark's own."""
    from dataset.cache.arrays import cached

    pixels = cached(list(table["path"]), size, "bicubic", folder / "cache")
    assert pixels is not None
    return pixels


def epochs_of(config: TrialConfig, table, pixels: np.ndarray) -> Iterator:
    """What a trial does, without validation."""
    network, preprocessing = recipe_parts.build(config, FACE_MASK)
    compute = decide(network, precision=config.precision)
    room = recipe_parts.room_for(config, compute, len(pixels))
    shown = pixels if room is None else batches.moved(pixels, room)
    start = recipe_parts.Start(FACE_MASK, table, network, preprocessing, compute, shown)
    return fit(recipe_parts.training(config, start, network, table))


def speed(photos: int, run: Callable[[], object]) -> float:
    """Photos per second, over as many runs as take a second: shorter ones measure mostly cold caches."""
    started, runs, seconds = time.perf_counter(), 0, 0.0
    while seconds < MIN_SECONDS:
        run()
        runs, seconds = runs + 1, time.perf_counter() - started
    return runs * photos / seconds


def input_rows(folder: Path, quick: bool) -> Iterator[Row]:
    """Rows of the input alone: batches are made and dropped, the same number per epoch for all."""
    for size in SIZES[1::2] if quick else SIZES:
        count = 16 * BATCH if size[0] < 500 else 6 * BATCH
        table = many(rivals.drawn_table(folder, drawn_size(size)), count)
        pixels, config = photos_of(table, size, folder), recipe("lcnet_050", size)
        network, preprocessing = recipe_parts.build(config, FACE_MASK)
        decide(network)
        prepare = batch_transform(config.augment, preprocessing)
        loader = batches.loader(batches.Photos(table, preprocessing, pixels, None, 0), BATCH, shuffle=True)

        def ours(loader=loader, prepare=prepare, size=size) -> None:
            for step, batch in enumerate(loader):
                prepare(
                    batch.photos, Draw(stream("batch", 0, batch.epoch, step), batch.rows, batch.epoch, size)
                )

        ways: dict[str, Way] = {"ours": partial(speed, count, ours)}
        for workers in (1, 2):
            for name, theirs in (
                ("plain way", rivals.plain_loader(table, size, BATCH, workers, "light")),
                ("timm", rivals.timm_loader(table, size, BATCH, workers)),
            ):
                ways[f"{name}, {workers} workers"] = partial(speed, count, partial(all_of, theirs))
        values = in_turn(ways, 3 if quick else 5)
        for rival in ("plain way", "timm"):
            yield Row(f"input, light, {size_text(size)}", "photos/s", *best(values, rival))


def training_rows(folder: Path, quick: bool) -> Iterator[Row]:
    cases = [("lcnet_050", (128, 96)), ("resnet18", (128, 96))]
    if not quick:
        cases += [(model, size) for size in SIZES for model in MODELS if (model, size) not in cases]
    for number, (model, size) in enumerate(cases):
        yield from epoch_rows(folder, model, size, against_plain=number < 2)


def epoch_rows(folder: Path, model: str, size: tuple[int, int], against_plain: bool) -> Iterator[Row]:
    # As many batches as take some seconds; small batches at full size, where a step takes long.
    cost = {"lcnet_050": 1, "resnet18": 5, "resnet34": 9}[model] * size[0] * size[1] / (128 * 96)
    steps, batch = max(1, round(12 / cost)), BATCH if cost < 20 else 8
    count = steps * batch
    table = many(rivals.drawn_table(folder, drawn_size(size)), count)
    pixels = photos_of(table, size, folder)
    ways: dict[str, Way] = {}

    own = "float32"
    for name in ("float32", "auto"):
        config = recipe(model, size, batch, precision=name)
        precision = decide(recipe_parts.build(config, FACE_MASK)[0], precision=name).precision
        if name == "auto" and precision is torch.float32:
            continue  # float32 here: the same again
        own, epochs = name, epochs_of(config, table, pixels)
        ways[f"ours, {name}"] = partial(speed, count, partial(next, epochs))
        for layout in (False, True):
            network = rivals.plain_network(model, layout)
            data = rivals.random_batches(size, batch, steps, layout)
            limit = f"limit, {name}, {'channels_last' if layout else 'NCHW'}"
            ways[limit] = partial(speed, count, partial(rivals.steps, network, data, precision))
    if against_plain:
        for workers in (1, 2):
            loader = rivals.plain_loader(table, size, batch, workers, "light")
            network = rivals.plain_network(model)
            name = f"plain way, {workers} workers"
            ways[name] = partial(speed, count, partial(rivals.steps, network, loader))
    values = in_turn(ways, 5 if against_plain else 3)
    what = f"epoch, {model}, {size_text(size)}, batch {batch}"
    step = f"training step, {what.removeprefix('epoch, ')}"
    yield Row(step, "photos/s", values, "limit, float32, channels_last", "limit, float32, NCHW")
    yield Row(f"{what}, float32", "photos/s", *best(values, "limit, float32", "ours, float32"))
    if own == "auto":
        yield Row(f"{what}, auto", "photos/s", *best(values, "limit, auto", "ours, auto"))
        yield Row(f"{what}, auto", "photos/s", values, "ours, auto", "ours, float32")
    if against_plain:
        yield Row(what, "photos/s", *best(values, "plain way", f"ours, {own}"))
        yield Row(f"limit, {what.removeprefix('epoch, ')}", "photos/s",
                  *best(values, "plain way", best(values, "limit, float32")[2]))  # fmt: skip


def best(values: Values, rival: str, ours: str = "ours") -> tuple[Values, str, str]:
    """(values, ours, the fastest variant of the rival)."""
    variants = [name for name in values if name.startswith(rival)]
    return values, ours, max(variants, key=lambda name: median(values[name]))


def many(table, count: int):
    """`count` photos of the table, repeated."""
    return table.loc[np.resize(table.index, count)].reset_index(drop=True)


def drawn_size(size: tuple[int, int]) -> tuple[int, int]:
    """Size of the drawn photos, from which they are resized to `size`."""
    return (256, 192) if size[0] < 256 else (512, 384)


def all_of(loader) -> None:
    for _ in loader:
        pass


def rows(quick: bool = False) -> Iterator[Row]:
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        yield from input_rows(Path(folder), quick)
        yield from training_rows(Path(folder), quick)
