"""Every error of a CSV is a message with its file and, if it has any, its lines."""

import os
from pathlib import Path

import pytest

from analysis.__main__ import app as analysis
from analysis.submission import read_answers
from common.errors import UsageError
from dataset.__main__ import app as dataset
from dataset.face_masks.corrections import read_corrections
from dataset.face_masks.labels import FACE_MASK
from dataset.read import read_eval, read_train
from dataset.tables import read_table
from tests.conftest import call

COLUMNS = ["id", "name"]
GOOD = b"id,name\n1,a\n2,b\n"

ERRORS = {
    "empty": (b"", ": an empty file, not a CSV with columns id,name"),
    "blank": (b"\n \n,,\n", ": an empty file, not a CSV with columns id,name"),
    "binary": (b"PK\3\4\n\0\0" + GOOD, " line 2: a NUL byte; this is a binary file, not a CSV with columns id,name"),
    "nul": (GOOD + b"3,\0\n", " line 4: a NUL byte; this is a binary file, not a CSV with columns id,name"),
    "utf16": (GOOD.decode().encode("utf-16"), ": UTF-16 text, not a CSV with columns id,name; save it as CSV in UTF-8"),
    "cp949": (GOOD + "3,가면\n".encode("cp949"), " line 4: not UTF-8 text (byte 0xb0), so not a CSV with columns id,name; save it as CSV in UTF-8"),
    "semicolons": (GOOD.replace(b",", b";"), ": its columns are separated by semicolons; save it with commas"),
    "tabs": (GOOD.replace(b",", b"\t"), ": its columns are separated by tabs; save it with commas"),
    "quote": (GOOD + b'3,"c\n', " line 4: not a CSV (unexpected end of data); check its quotes"),
    "behind": (GOOD + b'3,"c"d\n', " line 4: not a CSV (',' expected after '\"'); check its quotes"),
    "twice": (b"id,name,name\n1,a,b\n", ": column 'name' appears 2 times; keep one"),
    "near": (b"id,Name\n1,a\n", ": no column 'name'; it has id,Name; should 'Name' be 'name'?"),
    "few": (GOOD + b"3\n4,d\n", " line 4: 1 fields, but the header names 2"),
    "many": (GOOD + b"3,c,d\n", " line 4: 3 fields, but the header names 2"),
    "commas": (b"id,name\n1,a,\n2,b,\n\n3,c,\n4,d,\n", " lines 2, 3, 5, ... (4 in all): 3 fields, but the header names 2; remove the commas at the end"),
    "spaces": (b"id,name\n1 ,a\n2, b\n3,\tc\n", " line 2: spaces around id; remove them"),
}  # fmt: skip


@pytest.mark.parametrize("case", ERRORS)
def test_an_error_names_file_and_line(tmp_path, case):
    data, message = ERRORS[case]
    path = tmp_path / "some.csv"
    path.write_bytes(data)
    table, errors = read_table(path, COLUMNS)
    assert errors[0] == f"{path}{message}"
    assert errors[1:] == ([f"{path} lines 3, 4: spaces around name; remove them"] if case == "spaces" else [])
    assert list(table.columns) == COLUMNS
    assert len(table) == {"commas": 4, "spaces": 3}.get(
        case, 0
    )  # what can be read is there, for other errors


GOODS = {
    "plain": GOOD, "no end": GOOD[:-1], "bom": b"\xef\xbb\xbf" + GOOD, "windows": GOOD.replace(b"\n", b"\r\n"),
    "old mac": GOOD.replace(b"\n", b"\r"), "more columns": b"note,name,id,note\nx,a,1,\n,b,2,y\n",
    "quoted": b'"id","name"\n"1","a"\n2,b\n', "unnamed": b"id,name,\n1,a,\n2,b,\n",
}  # fmt: skip


@pytest.mark.parametrize("case", GOODS)
def test_what_is_well_formed_is_read_alike(tmp_path, case):
    (tmp_path / "some.csv").write_bytes(GOODS[case])
    table, errors = read_table(tmp_path / "some.csv", COLUMNS)
    assert errors == [] and table.attrs["notes"] == []
    assert table.to_numpy().tolist() == [["1", "a"], ["2", "b"]]
    assert list(table.index) == [2, 3]


def test_lines_are_those_of_the_file_and_lines_of_commas_are_skipped_and_noted(tmp_path):
    path = tmp_path / "some.csv"
    path.write_bytes(b'\nid,name\n\n1,"two\nlines"\n,\n2,b\n , \n')
    table, errors = read_table(path, COLUMNS, strip=True)
    assert errors == [] and table.attrs["notes"] == [f"{path} lines 6, 8: only commas, skipped"]
    assert table["name"].to_dict() == {5: "two\nlines", 7: "b"}


READERS = {
    "train.csv": lambda data: read_train(data),
    "info.csv": lambda data: read_eval(data),
    "known.csv": lambda data: read_train(data, data / "known.csv"),
}


def special(kind: str, path: Path) -> str:
    """Make `path` a special file of that kind; return the expected message."""
    path.unlink(missing_ok=True)
    if kind == "fifo":
        os.mkfifo(path)
        return "a named pipe (FIFO), not a CSV with columns "
    if kind == "folder":
        path.mkdir()
        return "a folder, not a CSV with columns "
    path.symlink_to(path if kind == "loop" else "nowhere")
    return "a link that leads back to itself" if kind == "loop" else "a link to nowhere, which doesn't exist"


@pytest.mark.parametrize("kind", ["fifo", "folder", "loop", "dangling"])
@pytest.mark.parametrize("name", READERS)
def test_every_reader_refuses_what_is_not_a_file(data, name, kind):
    path = {"train.csv": data / "train" / name, "info.csv": data / "eval" / name}.get(name, data / name)
    message = special(kind, path)
    with pytest.raises(UsageError) as caught:
        READERS[name](data)
    assert caught.value.errors[0].startswith(f"{path}: {message}")
    assert read_answers(path, FACE_MASK)[1][0].startswith(f"{path}: {message}")


@pytest.mark.parametrize(
    "data_bytes", [b"", b"\0\0", b"\xff\xfe\0", b'a,"b', "가,나".encode("cp949"), b"x;y;z\n"]
)
def test_no_reader_ends_in_a_traceback(data, tmp_path, data_bytes):
    """Corrections, a submission, answers and both CSVs of a data set, through the commands."""
    bad = tmp_path / "bad.csv"
    bad.write_bytes(data_bytes)
    with pytest.raises(UsageError, match=r"bad\.csv"):
        read_corrections(bad)
    (data / "train" / "train.csv").write_bytes(data_bytes)
    (data / "eval" / "info.csv").write_bytes(data_bytes)
    for app, words in ((dataset, ["check", data, "--corrections", bad]), (analysis, ["score", bad, bad])):
        ran = call(app, *words)
        assert ran.exit_code == 2
        assert "bad.csv" in ran.stderr


def test_nothing_may_be_read_without_permission(tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    path = tmp_path / "some.csv"
    path.write_bytes(GOOD)
    path.chmod(0)
    assert read_table(path, COLUMNS)[1] == [f"{path}: can't be read (Permission denied)"]
