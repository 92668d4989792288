"""What an audit of a data set found, kept in its --out folder for the report: the writer and the reader."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from common.errors import UsageError
from common.files import read_object, write_json
from dataset.fingerprint import fingerprint

NAME = "audit.json"
LABELS, LEAKAGE, SHIFT = "labels", "leakage", "shift"
KINDS = (LABELS, LEAKAGE, SHIFT)
MAX_EXAMPLES = 6  # kept; the audit's own page has more


@dataclass(frozen=True)
class Example:
    """One of what was found: a title, words on it, and its photos as (path, name)."""

    title: str
    words: str
    photos: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Audited:
    """`kind`: one of KINDS. `lines`: the findings as sentences, the most important first. `data`: the folder
    of the data set, `data_fingerprint`: of its files. `runs`: whose networks judged. `page`: has all that was
    found; '' if there is none."""

    kind: str
    lines: tuple[str, ...]
    data: str
    data_fingerprint: str
    runs: tuple[str, ...] = ()
    page: str = ""
    examples: tuple[Example, ...] = ()


def keep(
    out: Path, kind: str, lines: Sequence[str], data: Path, runs: Sequence[Path] = (), page: str = "",
    examples: Sequence[Example] = (),
) -> Path:  # fmt: skip
    """Write OUT/audit.json. `page`: its name in OUT."""
    found = Audited(
        kind, tuple(lines), str(data.absolute()), fingerprint(data),
        tuple(str(run.absolute()) for run in runs), page, tuple(examples)[:MAX_EXAMPLES],
    )  # fmt: skip
    out.mkdir(parents=True, exist_ok=True)
    return write_json(out / NAME, asdict(found))


def read_audited(folder: Path) -> Audited:
    """The content of FOLDER/audit.json. FileNotFoundError if there is none, UsageError if it is damaged."""
    path, text = folder / NAME, (str,)
    read = read_object(
        path,
        {"kind": text, "lines": (list,), "data": text, "data_fingerprint": text, "runs": (list,),
         "page": text, "examples": (list,)},
    )  # fmt: skip
    try:
        if read["kind"] not in KINDS:
            raise ValueError(f"its kind is {read['kind']!r}")
        examples = [
            Example(
                str(one["title"]),
                str(one["words"]),
                tuple((str(path), str(name)) for path, name in one["photos"]),
            )
            for one in read["examples"]
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{path}: is damaged ({error})") from None
    lines, runs = (tuple(map(str, read[name])) for name in ("lines", "runs"))
    return Audited(
        read["kind"], lines, read["data"], read["data_fingerprint"], runs, read["page"], tuple(examples)
    )
