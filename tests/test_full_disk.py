"""A full disk, at whatever is written: earlier files stay whole, and the message is one sentence."""

import errno
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from analysis import __main__ as analysis
from common.errors import exit_on_usage_error, file_words
from common.files import HOST, folder_atomic, sweep, write_atomic, write_json
from common.machine import PROJECT
from tests import forked
from tests.analysis.fake_experiment import trained
from tests.analysis.fake_run import untrained
from tests.conftest import TINY, call
from trial.models.tensors import write_tensors
from trial.run_folder.record import RunFolder, RunWriter

GONE = 2**22 + 1  # no process has such an id


@pytest.fixture
def small_disk(tmp_path, request):
    """A disk of its own, of one MiB or the parameter; `fill(left)` leaves that many bytes of it free."""
    folder = tmp_path / "disk"
    folder.mkdir()
    size = getattr(request, "param", "1m")
    words = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if subprocess.run(words, capture_output=True).returncode:
        pytest.skip("only root can mount a small disk")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def fill(disk: Path, left: int) -> Path:
    """A file that leaves `left` bytes of the disk."""
    path = disk / "filler"
    path.unlink(missing_ok=True)
    path.write_bytes(bytes(shutil.disk_usage(disk).free - left))
    return path


def without_traceback(*words: object, **environ: str) -> subprocess.CompletedProcess:
    done = forked.run("-m", *words, env={**os.environ, **environ})
    assert "Traceback" not in done.stderr, done.stderr
    return done


def json_of(size):
    return lambda path: write_json(path, "x" * size)


WRITES = {
    "JSON": json_of(300_000),
    "tensors": lambda path: write_tensors(path, {"x": torch.zeros(100_000)}),
    "a checkpoint": lambda path: write_atomic(
        path, lambda part: torch.save({"x": torch.zeros(100_000)}, part)
    ),
    "bytes": lambda path: write_atomic(path, lambda part: part.write_bytes(bytes(400_000))),
}


@pytest.mark.parametrize("left", [0, 4096, 100_000])
@pytest.mark.parametrize("what", WRITES)
def test_the_earlier_file_stays_whole(small_disk, what, left):
    path = small_disk / "file"
    path.write_text("the earlier one")
    fill(small_disk, left)
    with pytest.raises(OSError, match="No space left") as caught:
        WRITES[what](path)
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(path))
    assert path.read_text() == "the earlier one"
    assert sorted(small_disk.iterdir()) == [path, small_disk / "filler"], "no half file"
    (small_disk / "filler").unlink()
    WRITES[what](path)
    assert path.stat().st_size > 100_000


def test_a_run_ends_as_failed_or_as_it_last_was(small_disk):
    writer = RunWriter(small_disk / "run")
    fill(small_disk, 0)
    writer.end("failed", "the disk is full")
    assert RunFolder(small_disk / "run").status()["state"] in ("running", "failed")


@pytest.mark.slow
@pytest.mark.parametrize("left", [0, 20_000, 60_000])
def test_a_training_says_so_in_a_sentence(people, small_disk, left):
    fill(small_disk, left)
    words = [f"{key}={value}" for key, value in TINY.items()]
    done = without_traceback("trial", f"data={people}", *words, f"out={small_disk / 'run'}")
    assert done.returncode == 1
    assert "the disk is full; free some space, then try again" in done.stderr
    state = RunFolder(small_disk / "run").status()
    assert state["state"] == "failed"


@pytest.mark.slow
def test_predicting_again_is_not_refused(people, small_disk, tmp_path):
    run, out = untrained(tmp_path / "run").folder, small_disk / "out"
    for left in (0, 5_000, 12_000, 40_000):
        filler = fill(small_disk, left)
        result = call(analysis.app, "predict", run, "--data", people, "--out", out)
        assert result.exit_code == 1
        assert re.search(r"disk/\S+: the disk is full", result.stderr)
        assert not out.exists() or not list(out.iterdir())
        filler.unlink()
    # The report holds plotly, which is larger than this disk.
    assert call(analysis.app, "predict", run, "--data", people, "--out", tmp_path / "out").exit_code == 0


@pytest.fixture(scope="module")
def experiment(people, tmp_path_factory):
    return trained(tmp_path_factory.mktemp("full") / "two", people)


COMMANDS = {
    "retrain": ["retrain", "RUN0/config.json", "--data", "DATA", "--out", "OUT"],
    "ensemble": ["ensemble", "RUN0", "RUN1", "--data", "DATA", "--out", "OUT", "--vote", "soft"],
    "report of a run": ["report", "RUN0", "--out", "OUT"],
    "report of an experiment": ["report", "EXPERIMENT", "--out", "OUT"],
    "export-best-and-retrain": ["export-best-and-retrain", "EXPERIMENT", "--data", "DATA", "--out", "OUT"],
}


@pytest.mark.slow
@pytest.mark.parametrize("small_disk", ["32m"], indirect=True)
@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_says_so_and_does_its_work_when_there_is_space(people, small_disk, experiment, name):
    out, runs = small_disk / "out", experiment.folder / "trials"
    places = {"RUN0": runs / "t0", "RUN1": runs / "t1", "DATA": people, "EXPERIMENT": experiment.folder}
    places["OUT"] = out / "report.html" if name.startswith("report") else out
    words = COMMANDS[name]
    for place, path in places.items():
        words = [word.replace(place, str(path)) for word in words]
    for left in (0, 20_000, 200_000, 1_000_000):
        filler = fill(small_disk, left)
        done = call(analysis.app, *words)
        assert (done.exit_code, done.exception.__class__) == (1, SystemExit), (left, done.output)
        assert re.search(r"disk/\S+: the disk is full; free some space, then try again$", done.stderr.strip())
        assert not list(out.rglob("*.part")) and not (out / "submission.csv").exists()
        filler.unlink()
    done = call(analysis.app, *words)
    assert done.exit_code == 0, done.output
    assert (out / ("report.html" if name.startswith("report") else "submission.csv")).stat().st_size


@pytest.mark.parametrize(
    ("number", "code", "words"),
    [
        (errno.ENOSPC, 1, "the disk is full; free some space, then try again"),
        (errno.EDQUOT, 1, "your quota on this disk is used up; free some space, then try again"),
        (errno.EFBIG, 1, "the file would be larger than this process may write (ulimit -f)"),
        (errno.EROFS, 2, "its disk is read-only; give a folder that can be written to"),
        (errno.ENAMETOOLONG, 2, "the name is too long"),
        (errno.EACCES, 2, "Permission denied"),
        (errno.EISDIR, 2, "Is a directory"),
    ],
)
def test_each_error_of_the_disk_is_a_sentence(capsys, number, code, words):
    with pytest.raises(SystemExit) as ended, exit_on_usage_error():
        raise OSError(number, os.strerror(number), "out/x.csv")
    assert ended.value.code == code
    assert capsys.readouterr().err == f"out/x.csv: {words}\n"


def test_other_errors_are_none_of_the_disks():
    assert file_words(ConnectionResetError(errno.ECONNRESET, "x")) == file_words(ValueError()) == ""
    with pytest.raises(OSError, match="reset"), exit_on_usage_error():
        raise ConnectionResetError(errno.ECONNRESET, "reset")


@pytest.mark.slow
@pytest.mark.parametrize("command", ["trial", "dataset"])
def test_a_name_that_is_too_long_is_the_callers_mistake(people, command):
    out = "x" * 300
    if command == "trial":
        words = [f"{key}={value}" for key, value in TINY.items()]
        done = without_traceback("trial", f"data={people}", *words, f"out={out}")
    else:
        done = without_traceback("dataset", "synthetic", "--people", 4, "--out", out)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "too long" in done.stderr


def test_a_limit_on_the_size_of_files_is_said(tmp_path):
    """RLIMIT_FSIZE, which needs no root: writing fails as on a full disk."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    path = tmp_path / "w.safetensors"
    path.write_text("the earlier one")
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
        with pytest.raises(OSError, match="too large"):
            write_tensors(path, {"x": torch.zeros(100_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert (path.read_text(), list(tmp_path.iterdir())) == ("the earlier one", [path])


def test_what_killed_processes_left_is_swept(tmp_path):
    path, others = tmp_path / "a[1].json", [tmp_path / ".other.json.1.part", tmp_path / ".a[1].json.x.part"]
    for other in others:
        other.touch()
    alive = tmp_path / f".{path.name}.{HOST}-{os.getppid()}.part"
    alive.touch()
    others.append(tmp_path / f".{path.name}.elsewhere-{GONE}.part")  # another machine's: it may be at work
    others[-1].touch()
    (tmp_path / f".{path.name}.{HOST}-{GONE}.part").write_text("half")
    write_json(path, 1)
    assert sorted(tmp_path.iterdir()) == sorted([path, alive, *others])
    (tmp_path / f".out.{HOST}-{GONE}.part" / "photos").mkdir(parents=True)
    with folder_atomic(tmp_path / "out") as part:
        part.mkdir()
    assert sorted(tmp_path.iterdir()) == sorted([path, alive, tmp_path / "out", *others])
    sweep(tmp_path / "no folder" / "x")


def test_a_kill_leaves_what_the_next_one_sweeps(tmp_path):
    code = (
        "import os, signal, sys; from pathlib import Path; from common.files import write_atomic\n"
        "write_atomic(Path(sys.argv[1]), lambda part: (part.write_text('half'), os.kill(os.getpid(), signal.SIGKILL)))"
    )
    path = tmp_path / "x.csv"
    subprocess.run([sys.executable, "-c", code, path], cwd=PROJECT)
    assert len(list(tmp_path.iterdir())) == 1
    assert not path.exists()
    write_atomic(path, lambda part: part.write_text("whole"))
    assert list(tmp_path.iterdir()) == [path]
