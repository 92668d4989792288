"""Going on after a stop gives what an uninterrupted run gives, bit by bit."""

import json
import shutil
from dataclasses import replace

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from common.errors import UsageError
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
        "head": {"_name": "classes", "dropout": 0.3},
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


def going_on(folder, config):
    """Go on until the end; return what was reported."""
    checkpoint = read(folder, config)
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


@pytest.mark.parametrize("name", RECIPES)
def test_going_on_gives_the_run_that_was_never_stopped(name, people, tmp_path, monkeypatch):
    config = config_of(people, **RECIPES[name])
    reports = whole(tmp_path / "whole", config)
    # In an epoch: the third of four; of the fold 1 if folds are trained one by one.
    in_epoch = 22 if name == "one_by_one" else 14
    for where, times in ((AFTER_REPORT, 2), (IN_EPOCH, in_epoch)):
        folder = tmp_path / where
        killed(folder, config, monkeypatch, where, times)
        assert not (folder / CHECKPOINT).is_symlink()
        again = going_on(folder, config)
        assert_same(folder, tmp_path / "whole")
        of_people = [report for report in told(again) if report.for_tuner]
        assert of_people == [report for report in told(reports) if report.for_tuner]
        assert not (folder / CHECKPOINT).exists()
