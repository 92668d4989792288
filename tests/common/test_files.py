"""Files and folders are written whole or not at all, and by one process at a time."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from common.errors import UsageError
from common.files import _lock_of, file_mark, folder_atomic, mark_of, only_writer, write_atomic, write_sheet
from common.machine import PROJECT


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "scores.csv"
    assert write_atomic(path, lambda part: part.write_text("first")) == path

    def fail(part):
        part.write_text("sec")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomic(path, fail)
    assert path.read_text() == "first" and list(tmp_path.iterdir()) == [path]


def test_tables_for_people_hold_no_formula(tmp_path):
    table = pd.DataFrame({"text": ["=1+1", "-2", "plain", None], "number": [-0.5, 1e-9, 3.0, float("nan")]})
    path = write_sheet(tmp_path / "table.csv", table)
    assert path.read_text() == "text,number\n'=1+1,-0.5\n'-2,1e-09\nplain,3.0\n,\n"


def test_the_analysis_writes_its_tables_so():
    """But for submissions, which programs read, and numbers only."""
    by_hand = {path.name for path in (PROJECT / "analysis").rglob("*.py") if ".to_csv(" in path.read_text()}
    assert by_hand == {"submission.py", "measure.py"}


@pytest.mark.parametrize("exists", [False, True])
def test_a_folder_appears_whole_or_not_at_all(tmp_path, exists):
    out = tmp_path / "out"
    if exists:
        out.mkdir()
    with contextlib.suppress(ZeroDivisionError), folder_atomic(out) as part:
        (part / "half").mkdir(parents=True)
        raise ZeroDivisionError
    assert list(tmp_path.rglob("*")) == [out] * exists
    with folder_atomic(out) as part:
        (part / "inside").mkdir(parents=True)
        assert not (out / "inside").exists()
    assert sorted(tmp_path.rglob("*")) == [out, out / "inside"]


def test_a_folder_with_files_is_not_replaced(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    with pytest.raises(OSError, match="not empty"), folder_atomic(tmp_path / "out") as part:
        part.mkdir()
    assert list(tmp_path.rglob("*")) == [tmp_path / "out", tmp_path / "out" / "mine"]


def test_a_mark_changes_with_size_and_time_and_is_none_without_a_file(tmp_path):
    path = tmp_path / "photo.jpg"
    assert file_mark(path) is None
    path.write_bytes(b"123")
    os.utime(path, ns=(0, 5))
    assert file_mark(path) == file_mark(str(path)) == mark_of(path.stat()) == (3, 5)
    (tmp_path / "link.jpg").symlink_to(path)
    assert file_mark(tmp_path / "link.jpg") == (3, 5)


HOLD = """
import sys, time
from pathlib import Path
from common.files import _lock_of, only_writer
with only_writer(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@contextlib.contextmanager
def another_process(folder):
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], cwd=PROJECT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def test_the_lock_of_a_killed_writer_is_released(tmp_path):
    with another_process(tmp_path / "out") as first:
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
        with only_writer(tmp_path / "out"):
            pass
    assert list(tmp_path.iterdir()) == [], "no lock file stays"


def test_it_may_be_nested_in_one_process_and_named_otherwise(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "out")
    with only_writer(tmp_path / "out"), only_writer(tmp_path / "link"):
        assert (tmp_path / ".out.lock").exists()
    assert not (tmp_path / ".out.lock").exists()


def test_the_folder_may_be_renamed_meanwhile(tmp_path):
    out = tmp_path / "out"
    with another_process(out):
        out.mkdir()
        out.rename(tmp_path / "out.1")
        with pytest.raises(UsageError), only_writer(out):
            pass


def test_never_two_at_once(tmp_path):
    """Eight processes take and release the lock as fast as they can; the second one inside would fail."""
    code = (
        "import sys, os\nfrom pathlib import Path\nfrom common.files import only_writer\n"
        "from common.errors import UsageError\n"
        "out, done = Path(sys.argv[1]), 0\n"
        "while done < 60:\n"
        "    try:\n"
        "        with only_writer(out):\n"
        "            os.close(os.open(out.with_name('inside'), os.O_CREAT | os.O_EXCL))\n"
        "            os.unlink(out.with_name('inside'))\n"
        "            done += 1\n"
        "    except UsageError:\n"
        "        pass\n"
    )
    began = time.monotonic()
    command = [sys.executable, "-c", code, str(tmp_path / "out")]
    running = [subprocess.Popen(command, cwd=PROJECT, stderr=subprocess.PIPE, text=True) for _ in range(8)]
    for process in running:
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
    assert time.monotonic() - began < 60


def test_where_nothing_can_be_written_beside_the_folder_the_lock_lies_elsewhere(tmp_path, monkeypatch):
    assert _lock_of(tmp_path / "new" / "out") == tmp_path / "new" / ".out.lock"
    monkeypatch.setattr(os, "access", lambda path, how: False)  # root may write everywhere
    elsewhere = _lock_of(tmp_path / "out")
    assert tmp_path not in elsewhere.parents and elsewhere != _lock_of(tmp_path / "other")
    assert _lock_of(Path("/")).name
    with only_writer(tmp_path / "out"):
        assert elsewhere.exists()
