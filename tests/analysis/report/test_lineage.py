"""Where a run comes from, and commands that really make it again."""

import shlex

import pandas as pd

from analysis.report.lineage import (
    arguments_of,
    commands_of_experiment,
    commands_of_run,
    lineage_of,
    parents_of,
)
from tests.analysis.fake_experiment import finished
from tests.analysis.fake_run import untrained
from tests.conftest import TINY
from trial.commands.arguments import parse_arguments
from trial.config import parse
from trial.run_folder.record import RunFolder


def test_the_arguments_make_the_same_config():
    values = {
        **TINY, "loss": {"_name": "focal", "gamma": 1.5}, "fold": "all", "mixing": {"_name": "mixup", "alpha": 0.3},
        "augment": [{"_name": "flip", "p": 0.25}, {"_name": "shift_scale"}], "data": "a folder",
    }  # fmt: skip
    config = parse(values, present=False)
    assert parse(parse_arguments(shlex.split(arguments_of(config))), present=False) == config


def test_the_line_of_a_run_goes_back_to_its_parents(tmp_path):
    finished(tmp_path / "first", TINY, 0.3)
    finished(tmp_path / "second", TINY, 0.4, parent="first")
    finished(tmp_path / "third", TINY, 0.5, parent="second")
    run = RunFolder(tmp_path / "third")
    assert parents_of(run) == ["second", "first"]
    row = pd.Series({"chosen_by": "model", "expected_improvement": 0.0123})
    about = {"rule": {"stopped_after_epoch": 3}, "members": [1, 2]}
    found = dict(lineage_of(run, row, about))
    assert found["went on from"] == "2 earlier trials of the same recipe"
    assert dict(lineage_of(run))["went on from"] == "second, first"
    assert found["recipe chosen by"] == "the model (it expected to gain 0.0123)"
    assert (found["experiment"], found["trial"], found["data"]) == ("tiny", "third", "f" * 12)
    assert (found["retrained"], found["vote of"]) == ("stopped after epoch: 3", "2 networks")
    assert dict(lineage_of(run, pd.Series({"chosen_by": "default"})))["recipe chosen by"] == "the default"
    assert "recipe chosen by" not in dict(lineage_of(RunFolder(tmp_path / "nothing")))


def test_commands_follow_from_what_there_is(tmp_path):
    finished(tmp_path / "run", TINY, 0.3)
    run = RunFolder(tmp_path / "run")
    before = [command for _, command in commands_of_experiment("abc", run, None)]
    assert before[0] == "python -m analysis export-best-and-retrain abc --data input --out out/final"
    after = [command for _, command in commands_of_experiment("abc", run, tmp_path)]
    assert after[0] == f"python -m analysis reproduce {tmp_path} --data input --out DIR"
    assert after[1] == f"python -m analysis submissions {tmp_path} --score SCORE"
    assert after[-1].startswith("python -m trial model=test_resnet.r160_in1k ")
    own = [command for _, command in commands_of_run(run, None, False)]
    assert own[0] == f"python -m analysis predict {run.folder} --data input --out DIR"
    assert not any("reproduce" in command for _, command in commands_of_run(run, tmp_path, False))
    assert commands_of_experiment("abc", None, None)[0][1].endswith("--data DIR --out out/final")


def test_a_retrained_network_is_no_trial_and_its_path_is_quoted(tmp_path):
    """As a trial its recipe would hold a fold out, and be trained for all epochs."""
    run = untrained(tmp_path / "my run")
    (only,) = commands_of_run(run, None, False)
    assert only[1] == f"python -m analysis predict '{run.folder}' --data input --out DIR"
