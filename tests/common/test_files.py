"""One process at a time writes into a folder."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from analysis.ensemble import ensemble
from analysis.lr_range.measure import write_lr_range
from analysis.pipeline import export_best, export_best_and_retrain, predict_and_submit, retrain_and_submit
from common.errors import UsageError
from common.files import _lock_of, only_writer
from common.machine import PROJECT
from dataset.drawing.synthetic import draw
from experiments.demo import demo

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


WRITERS = {
    "demo": lambda out: demo(out=out),
    "draw": lambda out: draw(out, 30),
    "lr_range": lambda out: write_lr_range({}, out),
    "export_best": lambda out: export_best(None, out),
    "retrain": lambda out: retrain_and_submit(None, out, out, {}),
    "export_best_and_retrain": lambda out: export_best_and_retrain(None, out, out),
    "predict": lambda out: predict_and_submit(out, out, out),
    "ensemble": lambda out: ensemble([], out, out),
}


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_a_second_writer_is_refused_and_touches_nothing(write, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "work").write_text("of the first")
    with another_process(out) as first, pytest.raises(UsageError) as caught:
        write(out)
    assert f"{out}: another process ({first.pid}) is writing into this folder; wait" in str(caught.value)
    assert (out / "work").read_text() == "of the first"
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["out"], "nothing moved aside"


def test_a_killed_writer_lets_go(tmp_path):
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
    """Eight processes take and drop the lock as fast as they can; a file counts those inside."""
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
