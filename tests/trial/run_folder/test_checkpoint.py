"""Going on after a stop gives what an uninterrupted run gives, bit by bit."""

import shutil
import signal
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from tests.conftest import TINY
from tests.forked import Forked
from tests.trial.killed_runs import (
    AFTER_BEST,
    AFTER_REPORT,
    AFTER_ROW,
    IN_EPOCH,
    PLAIN,
    assert_same,
    config_of,
    going_on,
    killed,
    told,
    whole,
    write_status,
)
from trial.run import run
from trial.run_folder import resume
from trial.run_folder.checkpoint import CHECKPOINT, load
from trial.run_folder.predictions import scores_of
from trial.run_folder.record import RunFolder, RunWriter
from trial.run_folder.resume import Saver, continued, read

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


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name != "plain")) for name in RECIPES]
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


@pytest.mark.slow
@pytest.mark.parametrize(("where", "times"), [(AFTER_ROW, 2), (AFTER_BEST, 1)])
def test_a_kill_between_two_writes_of_an_epoch_is_harmless(where, times, people, tmp_path, monkeypatch):
    """Twice in one run: what is recorded of the epoch after the checkpoint is dropped."""
    # Eight epochs: which of them is better than the first differs from one type of processor to another.
    config, folder = config_of(people, schedule="constant", epochs=8), tmp_path / "run"
    whole(tmp_path / "whole", config)
    killed(folder, config, monkeypatch, where, times)
    checkpoint = read(folder, config.recipe(), config.data)
    assert len(RunFolder(folder).epochs()) == len(checkpoint.rows) + 1 > 1
    writer = RunWriter(folder, config, checkpoint=checkpoint)
    assert len(RunFolder(folder).epochs()) == RunFolder(folder).status()["epochs"] == len(checkpoint.rows)
    writer.end("failed")
    killed(folder, config, monkeypatch, AFTER_ROW, times=2, checkpoint=checkpoint)
    going_on(folder, config)
    assert_same(folder, tmp_path / "whole")


@pytest.mark.slow
def test_a_best_epoch_whose_files_are_of_a_later_one_is_forgotten(stopped, tmp_path):
    """The run was killed before the next checkpoint, and that epoch comes out otherwise now."""
    config, folder = stopped
    folder = shutil.copytree(folder, tmp_path / "run")
    kept = read(folder, config.recipe(), config.data)
    assert kept.best == load(folder / CHECKPOINT).best != {}
    path = folder / "validation.parquet"
    answers = pd.read_parquet(path)
    columns = [name for name in answers if name.startswith("p") and name[1:].isdigit()]
    answers[columns] = np.eye(len(columns), dtype="float32")[answers["label"]]
    answers.to_parquet(path)
    assert read(folder, config.recipe(), config.data).best == {}
    going_on(folder, config)
    run, status = RunFolder(folder), RunFolder(folder).status()
    row = run.epochs().set_index("epoch").loc[status["best_epoch"]]
    assert status["score"] == scores_of(run.validation()).macro_f1 == pytest.approx(row["macro_f1"])
    assert status["best_epoch"] > len(kept.rows)


@pytest.mark.slow
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


@pytest.mark.slow
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
    (run_folder / f".{CHECKPOINT}.host-4194000.part").write_bytes(b"half")
    RunWriter(run_folder, config, checkpoint=read(run_folder, config.recipe(), config.data))
    assert not list(run_folder.glob(".*.part"))


STAYS_IN_EPOCH_3 = """
import sys, time
from trial.commands.train import run_command
from trial.run_folder.record import RunWriter
epoch = RunWriter.epoch
RunWriter.epoch = lambda self, row: time.sleep(300) if row["epoch"] == 3 else epoch(self, row)
run_command(sys.argv[1:])
"""


@pytest.mark.slow
@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_killed_goes_on_by_the_command(kill, plain, tmp_path):
    config, same = plain
    folder = tmp_path / "my run"
    given = {**TINY, **PLAIN, "data": config.data, "out": folder}
    words = [f"{key}={value}" for key, value in given.items()]
    process = Forked("-c", STAYS_IN_EPOCH_3, *words)
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
        assert f"to go on: python -m trial --continue '{folder}'" in printed
    assert RunFolder(folder).status()["state"] == ("failed" if kill == signal.SIGKILL else "interrupted")
    again = Forked("-m", "trial", "--continue", folder, "--keep-checkpoint")
    printed, errors = again.communicate(timeout=200)
    assert again.returncode == 0, errors
    assert "going on after epoch" in printed and "epoch 1/3" not in printed and "epoch 3/3" in printed
    assert_same(folder, same)
    assert (folder / CHECKPOINT).exists() and not list(folder.glob(".*.part"))
