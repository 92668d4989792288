"""Runs that are killed and go on, and the comparison of two runs."""

import json
from dataclasses import replace

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from tests.conftest import TINY
from trial.config import parse
from trial.learning.learner import Learner
from trial.run import run
from trial.run_folder.record import RunFolder, RunWriter
from trial.run_folder.resume import Saver, read


class Killed(BaseException):
    """Nothing may catch it, as nothing can catch a kill."""


# Where a run is killed: after which calls of which method; "best": those after the first epoch, which always is.
AFTER_REPORT, AFTER_ROW, AFTER_BEST, IN_EPOCH = "report", "row", "best", "epoch"
PLAIN = {"schedule": "constant", "epochs": 3}


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
            if where == AFTER_BEST and given[1] > 1:
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


def write_status(folder, status):
    (folder / "status.json").write_text(json.dumps(status))
