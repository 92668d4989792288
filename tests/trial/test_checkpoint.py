"""Going on after a stop gives what an uninterrupted run gives, bit by bit."""

import json
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from common.errors import UsageError
from common.machine import PROJECT
from tests.conftest import TINY
from trial import resume
from trial.checkpoint import CHECKPOINT, load
from trial.config import parse
from trial.learning.learner import Learner
from trial.record import RunFolder, RunWriter
from trial.resume import Saver, continued, read
from trial.run import run


class Killed(BaseException):
    """Nothing may catch it, as nothing can catch a kill."""


# Where a run is killed: after which calls of which method.
AFTER_REPORT, AFTER_ROW, AFTER_BEST, IN_EPOCH = "report", "row", "best", "epoch"
RECIPES = {
    "plain": {},
    "mixing_ema_accumulation": {
        "mixing": "cutmix", "ema": 0.9, "accumulate": 2, "clip_norm": 1, "augment": "light",
        "head": {"_name": "classes", "dropout": 0.3}, "borders": {"_name": "soft", "sd": 10},
    },
    "gradual_sgd_sampler_copies": {
        "freeze": "gradual", "optimizer": "sgd", "learning_rate": 0.03, "sampler": "class_balanced",
        "copies": "baseline", "layer_decay": 0.8,
    },
    "gradual_adam_plateau": {
        "freeze": "gradual", "schedule": {"_name": "plateau", "patience": 0, "factor": 0.3}, "mixing": "mixup",
    },
    "workers": {
        "workers": 2,
        "augment": ["alternating_flip", "rand_augment", {"_name": "GaussianBlur", "blur_limit": [3, 5]}],
    },
    "lockstep": {"fold": "all", "folds": 2, "ema": 0.9, "mixing": "mixup_rare", "patience": 2},
    "one_by_one": {"fold": "all", "folds": 2, "fold_order": "one_by_one", "mixing": "cutmix", "ema": 0.9},
}  # fmt: skip


def config_of(people, **values):
    return parse({**TINY, "data": str(people), "epochs": 4, **values})


def whole(folder, config):
    """Train in one go; return what was reported."""
    reports = []
    writer = RunWriter(folder, config)
    run(config, writer, reports.append)
    writer.end("done")
    return reports


def killed(folder, config, monkeypatch, where=AFTER_REPORT, times=2, checkpoint=None):
    """Train until the run is killed; return what was reported before."""
    reports, left = [], [times]

    def count():
        left[0] -= 1
        if left[0] == 0:
            raise Killed

    def on_report(report):
        reports.append(report)
        if where == AFTER_REPORT and not report.earlier:
            count()

    class Writer(RunWriter):
        def epoch(self, row):
            super().epoch(row)
            if where == AFTER_ROW:
                count()

        def best(self, *given):
            super().best(*given)
            if where == AFTER_BEST:
                count()

    with monkeypatch.context() as patch:
        patch.setattr(Saver, "is_due", True)
        if where == IN_EPOCH:
            backward = Learner.backward
            patch.setattr(Learner, "backward", lambda *given: (backward(*given), count()))
        with pytest.raises(Killed):
            run(config, Writer(folder, config, checkpoint=checkpoint), on_report, checkpoint)
    return reports


def going_on(folder, config, checkpoint=None):
    """Go on until the end; return what was reported."""
    checkpoint = checkpoint or read(folder, config.recipe(), config.data)
    reports = []
    writer = RunWriter(folder, config, checkpoint=checkpoint)
    run(config, writer, reports.append, checkpoint)
    writer.end("done")
    return reports


def assert_same(one, other):
    """All that two runs recorded is the same, but for times and places."""
    drop = ["seconds"]
    pd.testing.assert_frame_equal(
        RunFolder(one).epochs().drop(columns=drop), RunFolder(other).epochs().drop(columns=drop),
        check_exact=True,
    )  # fmt: skip
    pd.testing.assert_frame_equal(
        RunFolder(one).validation(), RunFolder(other).validation(), check_exact=True
    )
    assert [path.name for path in RunFolder(one).weights_files()] == [
        path.name for path in RunFolder(other).weights_files()
    ]
    for first, second in zip(RunFolder(one).weights_files(), RunFolder(other).weights_files(), strict=True):
        ours, theirs = load_file(first), load_file(second)
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())
    for name in ("state", "epochs", "best_epoch", "macro_f1", "score"):
        assert RunFolder(one).status()[name] == RunFolder(other).status()[name], name


def told(reports):
    """What the reports say, without seconds."""
    return [replace(report, seconds=0, earlier=False) for report in reports]


SLOW = ("workers", "lockstep", "one_by_one")  # quick: those of one network in one process


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in RECIPES]
)
def test_going_on_gives_the_run_that_was_never_stopped(name, people, tmp_path, monkeypatch):
    config = config_of(people, **RECIPES[name])
    reports = whole(tmp_path / "whole", config)
    # In an epoch: the third of four; of the fold 1 if folds are trained one by one.
    in_epoch = 22 if name == "one_by_one" else 14
    for where, times in ((AFTER_REPORT, 2), (IN_EPOCH, in_epoch)):
        folder = tmp_path / where
        killed(folder, config, monkeypatch, where, times)
        again = going_on(folder, config)
        assert_same(folder, tmp_path / "whole")
        of_people = [report for report in told(again) if report.for_tuner]
        assert of_people == [report for report in told(reports) if report.for_tuner]
        assert not (folder / CHECKPOINT).exists()


PLAIN = {"schedule": "constant", "epochs": 3}


@pytest.fixture(scope="module")
def plain(people, tmp_path_factory):
    """(A config, the folder of its whole run)."""
    config = config_of(people, **PLAIN)
    folder = tmp_path_factory.mktemp("plain") / "whole"
    whole(folder, config)
    return config, folder


@pytest.fixture(scope="module")
def stopped(plain, tmp_path_factory):
    """(A config, the folder of its run, killed after epoch 2 of 3)."""
    config, _ = plain
    folder = tmp_path_factory.mktemp("stopped") / "run"
    with pytest.MonkeyPatch.context() as patch:
        killed(folder, config, patch)
    status = RunFolder(folder).status()
    write_status(folder, status | {"state": "interrupted"})  # its process, this one, lives
    return config, folder


def write_status(folder, status):
    (folder / "status.json").write_text(json.dumps(status))


@pytest.mark.parametrize("where", [AFTER_ROW, AFTER_BEST])
def test_a_kill_between_two_writes_of_an_epoch_is_harmless(where, plain, tmp_path, monkeypatch):
    """Twice in one run: what is recorded of the epoch after the checkpoint is dropped."""
    config, same = plain
    killed(tmp_path / "run", config, monkeypatch, where, times=2)
    assert len(RunFolder(tmp_path / "run").epochs()) == 2
    checkpoint = read(tmp_path / "run", config.recipe(), config.data)
    assert len(checkpoint.rows) == 1
    writer = RunWriter(tmp_path / "run", config, checkpoint=checkpoint)
    assert len(RunFolder(tmp_path / "run").epochs()) == RunFolder(tmp_path / "run").status()["epochs"] == 1
    writer.end("failed")
    killed(tmp_path / "run", config, monkeypatch, AFTER_ROW, times=2, checkpoint=checkpoint)
    going_on(tmp_path / "run", config)
    assert_same(tmp_path / "run", same)


def test_a_kill_before_the_end_is_written_trains_no_epoch_too_many(people, tmp_path, monkeypatch):
    config = config_of(people, epochs=6, patience=1, learning_rate=1e-9, schedule="constant")
    whole(tmp_path / "whole", config)
    done = RunFolder(tmp_path / "whole").status()["epochs"]
    assert done < 6
    monkeypatch.setattr(RunWriter, "keeps_checkpoint", True, raising=False)
    writer = RunWriter(tmp_path / "run", config, keep_checkpoint=True)
    run(config, writer, lambda report: None)  # killed before `end`
    going_on(tmp_path / "run", config)
    assert_same(tmp_path / "run", tmp_path / "whole")


def test_a_run_is_trained_longer_if_its_schedule_allows_that(plain, people, tmp_path):
    config, _ = plain
    longer = replace(config, epochs=5)
    whole(tmp_path / "whole", longer)
    writer = RunWriter(tmp_path / "run", config, keep_checkpoint=True)
    run(config, writer, lambda report: None)
    writer.end("done")
    given, checkpoint = continued(tmp_path / "run", {"epochs": 5})
    assert given == replace(longer, out=str(tmp_path / "run"))
    going_on(tmp_path / "run", given, checkpoint)
    assert_same(tmp_path / "run", tmp_path / "whole")
    assert RunFolder(tmp_path / "run").config().epochs == 5


def test_all_parts_of_a_run_count_for_its_time(stopped, tmp_path):
    config, folder = stopped
    run_folder = shutil.copytree(folder, tmp_path / "run")
    began = RunFolder(run_folder).status()["started"]
    write_status(run_folder, RunFolder(run_folder).status() | {"started": "another"})
    going_on(run_folder, config)
    status = RunFolder(run_folder).status()
    assert status["started"] == began
    assert status["seconds"] == pytest.approx(RunFolder(run_folder).epochs()["seconds"].sum(), abs=0.01)


def test_checkpoints_take_at_most_a_twentieth_of_the_time(stopped, tmp_path, monkeypatch):
    config, _ = stopped
    now = [100.0]
    monkeypatch.setattr(resume.time, "perf_counter", lambda: now[0])
    saver = Saver(RunWriter(tmp_path, config), {}, "")

    def slowly(checkpoint, path):
        now[0] += 2

    monkeypatch.setattr(resume.Checkpoint, "write", slowly)
    assert saver.is_due  # the first epoch
    saver.save({}, {})
    for seconds, due in ((10, False), (29.9, False), (0.2, True)):
        now[0] += seconds
        assert saver.is_due is due


def test_a_full_disk_keeps_the_last_checkpoint_and_the_training(stopped, tmp_path, monkeypatch, caplog):
    config, folder = stopped
    run_folder = shutil.copytree(folder, tmp_path / "run")
    before = (run_folder / CHECKPOINT).read_bytes()
    writer = RunWriter(run_folder, config, checkpoint=read(run_folder, config.recipe(), config.data))

    def fail(content, path):
        path.write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(torch, "save", fail)
    Saver(writer, {}, "").save({}, {})
    assert "no checkpoint could be written: No space left" in caplog.text
    assert (run_folder / CHECKPOINT).read_bytes() == before
    assert not list(run_folder.glob(".*.part"))


def test_half_written_files_of_a_killed_process_are_removed(stopped, tmp_path):
    config, folder = stopped
    run_folder = shutil.copytree(folder, tmp_path / "run")
    (run_folder / f".{CHECKPOINT}.4194000.part").write_bytes(b"half")
    RunWriter(run_folder, config, checkpoint=read(run_folder, config.recipe(), config.data))
    assert not list(run_folder.glob(".*.part"))


def damaged(name, content=b"damaged"):
    def change(folder):
        (folder / name).write_bytes(content)

    return change


def without(name):
    return lambda folder: (folder / name).unlink()


def with_status(**values):
    return lambda folder: write_status(folder, RunFolder(folder).status() | values)


def truncated(folder):
    path = folder / CHECKPOINT
    path.write_bytes(path.read_bytes()[:-5000])


def with_a_flipped_bit(folder):
    path = folder / CHECKPOINT
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def hostile(folder):
    class Hostile:
        def __reduce__(self):
            return print, ("it ran",)

    torch.save({"format": 1, "recipe": Hostile()}, folder / CHECKPOINT)


REFUSED = {
    "another recipe": ({"loss": "focal"}, None, "loss: --continue goes on with the same recipe"),
    "another folder": ({"out": "elsewhere"}, None, "out: a run goes on in its own folder"),
    "unknown": ({"epoch": 9}, None, "did you mean epochs"),
    "fewer epochs": ({"epochs": 2}, None, "less than the 3"),
    "done": ({}, with_status(state="done", epochs=3), "is done, after all its 3 epochs"),
    "done by patience": ({"epochs": 9}, with_status(state="done"), "patience=0 ended it after epoch 2"),
    "no checkpoint": ({}, without(CHECKPOINT), "holds no checkpoint"),
    "none any more": (
        {"epochs": 9},
        lambda folder: (with_status(state="done", epochs=3)(folder), without(CHECKPOINT)(folder)),
        "--keep-checkpoint",
    ),
    "damaged": ({}, damaged(CHECKPOINT), "checkpoint.pt: is damaged"),
    "empty": ({}, damaged(CHECKPOINT, b""), "checkpoint.pt: is damaged"),
    "truncated": ({}, truncated, "checkpoint.pt: is damaged"),
    "a flipped bit": ({}, with_a_flipped_bit, "checkpoint.pt: is damaged"),
    "hostile": ({}, hostile, "checkpoint.pt: is damaged"),
    "no weights": ({}, without("weights.safetensors"), "weights.safetensors is missing or damaged"),
    "no answers": ({}, damaged("validation.parquet"), "validation.parquet is missing or damaged"),
    "no task": ({}, damaged("task.json"), "task.json is missing or damaged"),
    "no config": ({}, without("config.json"), "is not a run folder"),
    "no such data": ({"data": "nowhere"}, None, "no folder"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_run_can_not_go_on_from_is_refused_and_nothing_is_changed(name, stopped, tmp_path, capfd):
    values, change, words = REFUSED[name]
    folder = shutil.copytree(stopped[1], tmp_path / "run")
    if change:
        change(folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(UsageError) as refused:
        continued(folder, values)
    assert words in str(refused.value) and len(str(refused.value).splitlines()) == 1
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert "it ran" not in capfd.readouterr().out


def test_a_run_that_runs_is_left_alone(stopped, tmp_path):
    folder = shutil.copytree(stopped[1], tmp_path / "run")
    with_status(state="running")(folder)
    with pytest.raises(UsageError, match="still running"):
        continued(folder, {})


def test_a_schedule_over_all_epochs_is_not_made_longer(people, tmp_path):
    RunWriter(tmp_path / "run", config_of(people)).end("interrupted")
    with pytest.raises(UsageError, match="schedule=onecycle runs over all epochs"):
        continued(tmp_path / "run", {"epochs": 9})


def test_other_data_are_refused_and_another_version_of_torch_is_warned_about(stopped, tmp_path, caplog):
    config, folder = stopped
    data = shutil.copytree(config.data, tmp_path / "data")  # copy2 keeps the times
    continued(folder, {"data": str(data), "threads": 2})
    assert "WARNING" not in caplog.text
    photo = next((data / "train" / "images").rglob("*.*"))
    photo.unlink()
    with pytest.raises(UsageError, match="was trained on other data"):
        continued(folder, {"data": str(data)})
    old = shutil.copytree(folder, tmp_path / "old")
    replace(load(old / CHECKPOINT), torch="2.0.0").write(old / CHECKPOINT)
    continued(old, {})
    assert "was trained with torch 2.0.0" in caplog.text


def test_a_run_from_before_a_field_was_there_goes_on(stopped, tmp_path):
    _, folder = stopped
    old = shutil.copytree(folder, tmp_path / "old")
    checkpoint = load(old / CHECKPOINT)
    earlier = {name: value for name, value in checkpoint.recipe.items() if name != "resizing"}
    replace(checkpoint, recipe=earlier).write(old / CHECKPOINT)
    continued(old, {})


def test_folds_one_by_one_are_not_made_longer_once_one_is_finished(people, tmp_path, monkeypatch):
    values = {"fold": "all", "folds": 2, "fold_order": "one_by_one", "epochs": 1, "schedule": "constant"}
    config = config_of(people, **values)
    killed(tmp_path / "run", config, monkeypatch)  # after the report of the first fold
    with_status(state="stopped_early")(tmp_path / "run")
    assert read(tmp_path / "run", config.recipe(), config.data).where == "fold 0"
    with pytest.raises(UsageError, match="fold 0 is already finished with 1"):
        continued(tmp_path / "run", {"epochs": 2})


STAYS_IN_EPOCH_3 = """
import sys, time
from trial.command import run_command
from trial.record import RunWriter
epoch = RunWriter.epoch
RunWriter.epoch = lambda self, row: time.sleep(300) if row["epoch"] == 3 else epoch(self, row)
run_command(sys.argv[1:])
"""


def trial_process(*words, start=("-m", "trial")):
    command = [sys.executable, *start, *map(str, words)]
    return subprocess.Popen(
        command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_killed_goes_on_by_the_command(kill, plain, tmp_path):
    config, same = plain
    folder = tmp_path / "run"
    given = {**TINY, **PLAIN, "data": config.data, "out": folder}
    words = [f"{key}={value}" for key, value in given.items()]
    process = trial_process(*words, start=("-c", STAYS_IN_EPOCH_3))
    try:
        end = time.monotonic() + 200
        while RunFolder(folder).status().get("epochs", 0) < 2:
            assert time.monotonic() < end and process.poll() is None
            time.sleep(0.05)
        process.send_signal(kill)
        printed = process.communicate(timeout=100)[1]
    finally:
        process.kill()
    if kill == signal.SIGINT:
        assert f"to go on: python -m trial --continue {folder}" in printed
    assert RunFolder(folder).status()["state"] == ("failed" if kill == signal.SIGKILL else "interrupted")
    again = trial_process("--continue", folder, "--keep-checkpoint")
    printed, errors = again.communicate(timeout=200)
    assert again.returncode == 0, errors
    assert "going on after epoch" in printed and "epoch 1/3" not in printed and "epoch 3/3" in printed
    assert_same(folder, same)
    assert (folder / CHECKPOINT).exists() and not list(folder.glob(".*.part"))


def test_the_command_refuses_a_folder_that_is_not_there(tmp_path):
    process = trial_process("--continue", tmp_path / "nowhere" / "run")
    assert process.communicate()[1] == f"{tmp_path}/nowhere/run: no such folder\n"
    assert process.returncode == 2
    assert not (tmp_path / "nowhere").exists()
