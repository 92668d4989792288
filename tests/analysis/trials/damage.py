"""Ways in which the files of a run folder get damaged: by a full disk, a power cut, a person, another program."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd

Damage = Callable[[Path], object]
JSON_FILES = ("status.json", "config.json", "task.json", "origin.json", "preprocessing.json")
FILES = (*JSON_FILES, "epochs.csv", "validation.parquet", "weights.safetensors")


def _bytes(change: Callable[[bytes], bytes]) -> Damage:
    return lambda path: path.write_bytes(change(path.read_bytes()))


def _flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 0x80]) + data[middle + 1 :]


def _to_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _to_link(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


ANY_FILE: dict[str, Damage] = {
    "removed": Path.unlink,
    "a folder": _to_folder,
    "a link to itself": _to_link,
    "empty": _bytes(lambda data: b""),
    "half of it": _bytes(lambda data: data[: len(data) // 2]),
    "without its last bytes": _bytes(lambda data: data[:-9]),
    "without its first bytes": _bytes(lambda data: data[9:]),
    "zeros": _bytes(lambda data: bytes(len(data))),
    "zeros at the end": _bytes(lambda data: data[: len(data) // 2] + bytes(len(data) - len(data) // 2)),
    "binary": _bytes(lambda data: bytes(range(256)) * 4),
    "a byte flipped": _bytes(_flipped),
    "not UTF-8": _bytes(lambda data: b'{"state": "\xff\xfe"}'),
    "twice": _bytes(lambda data: data + data),
    "another file": _bytes(lambda data: b"photo,person\na,b\n"),
}
WHOLE_VALUES = ["null", "[]", "{}", "1", '"text"', "NaN", "[{}]", "{" * 5000, "[" * 100_000]
VALUES = [None, [], {}, "text", -1, 1e300, True, [None], {"x": {}}]
ROWS = {
    "header only": lambda table: table.head(0),
    "a text in each column": lambda table: table.astype(object).map(lambda _: "x"),
    "NaN in each column": lambda table: table.astype(object).map(lambda _: float("nan")),
    "numbers in each column": lambda table: table.astype(object).map(lambda _: -7),
    "rows twice": lambda table: pd.concat([table, table]),
    "the first column only": lambda table: table.iloc[:, :1],
    "other names": lambda table: table.rename(columns=lambda name: f"x{name}"),
}


def _json(change: Callable[[dict], object]) -> Damage:
    def damage(path: Path) -> None:
        value = json.loads(path.read_text())
        change(value)
        path.write_text(json.dumps(value))

    return damage


def _set(key: str, value: Any) -> Damage:
    return _json(lambda values: values.__setitem__(key, value))


def _write(text: str) -> Damage:
    return lambda path: path.write_text(text)


def _table(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Damage:
    def damage(path: Path) -> None:
        if path.suffix == ".csv":
            change(pd.read_csv(path)).to_csv(path, index=False)
        else:
            change(pd.read_parquet(path)).to_parquet(path, index=False)

    return damage


def damages(name: str, keys: list[str]) -> Iterator[tuple[str, Damage]]:
    """(what it is, the function that does it) for the file `name`, whose keys or columns are `keys`."""
    yield from ANY_FILE.items()
    if name in JSON_FILES:
        yield from ((f"holds {text[:8]}", _write(text)) for text in WHOLE_VALUES)
        yield from ((f"no {key}", _json(lambda values, key=key: values.pop(key))) for key in keys)
        yield from ((f"{key}={value}", _set(key, value)) for key in keys for value in VALUES)
    if name in ("epochs.csv", "validation.parquet"):
        yield from ((what, _table(change)) for what, change in ROWS.items())
        yield from ((f"no {key}", _table(lambda table, key=key: table.drop(columns=key))) for key in keys)
        yield from (
            (f"texts in {key}", _table(lambda table, key=key: table.assign(**{key: "x"}))) for key in keys
        )
