"""What takes long to compute about photos (face boxes, features) is computed once and kept in the cache."""

import logging
import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from common.text import bytes_text, path_text
from dataset.cache.store import (
    ArrayInfo,
    NoRoom,
    load,
    make_room,
    only_builder,
    only_computer,
    remove_outdated,
    sweep,
    write_info,
)

logger = logging.getLogger(__name__)


def computed(
    folder: Path,
    wanted: ArrayInfo,
    compute: Callable[[], np.ndarray],
    doing: str,
    need: int = 0,
    limit: int = 0,
) -> np.ndarray:
    """The array `wanted` of the cache folder, memory-mapped; computed and written there first if it is
    missing. `doing` says in the log what `compute` does.

    One process computes an array, others that want the same one wait for it; different ones are computed side
    by side. If the folder can't be written to, a warning is logged and the array is computed each time.
    `need`: bytes of the array, for which the least recently used arrays are removed if those of `folder`
    would be over `limit` bytes. NoRoom, with nothing computed, if that is not enough.
    """
    if (array := read(folder, wanted)) is not None:
        return array
    if need > limit:
        raise NoRoom(f"over the limit of {bytes_text(limit)}")
    where = path_text(folder)

    def wait() -> None:
        logger.info(f"waiting for another process that builds in {where}")

    def make_ready() -> None:
        sweep(folder)
        remove_outdated(folder, wanted)
        if need:
            make_room(folder, need, limit)

    with ExitStack() as held:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            held.enter_context(only_computer(folder, wanted, wait))
            if (array := read(folder, wanted)) is not None:  # made while this process waited
                return array
            with only_builder(folder, wait):
                make_ready()
        except OSError as error:
            _warn(wanted, f"{where} can't be written to ({error.strerror})")
            return compute()
        logger.info(f"{doing} once, kept in {where}")
        array = compute()  # without the folder's lock: others decode or compute meanwhile
        try:
            with only_builder(folder, wait):
                make_ready()  # again: others may have taken the room
                _write(folder, wanted, array)
        except OSError as error:
            _warn(wanted, f"{where} can't be written to ({error.strerror})")
        except NoRoom as error:
            _warn(wanted, str(error))
        return array


def read(folder: Path, wanted: ArrayInfo) -> np.ndarray | None:
    """The array `wanted`, memory-mapped; None if it is missing or damaged."""
    return load(folder / wanted.name)


def _warn(wanted: ArrayInfo, reason: str) -> None:
    logger.warning(f"{wanted.kind} are not kept: {reason}")


def _write(folder: Path, wanted: ArrayInfo, array: np.ndarray) -> None:
    part = folder / f"{wanted.key}.part"
    try:
        with part.open("wb") as file:
            np.save(file, array)
        write_info(folder / wanted.name, wanted)
        os.replace(part, folder / wanted.name)
    finally:
        sweep(folder)
