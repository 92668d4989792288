from functools import partial

import pytest

from analysis.__main__ import app
from common.machine import PROJECT
from tests.conftest import call

COMMANDS = (
    "trials",
    "confirm",
    "compare",
    "importance",
    "export-best",
    "retrain",
    "export-best-and-retrain",
    "predict",
    "ensemble",
    "pseudo-labels",
    "soup",
    "reproduce",
    "score",
    "submissions",
    "report",
    "labels",
    "leakage",
    "shift",
    "eda",
    "lr-range",
)


@pytest.fixture
def analysis(monkeypatch):
    monkeypatch.chdir(PROJECT)
    return partial(call, app)


def test_the_help_shows_each_summary_whole(analysis, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    lines = analysis("--help").stdout.partition("Commands:\n")[2].splitlines()
    summaries = dict(line.split(maxsplit=1) for line in lines)
    assert tuple(summaries) == COMMANDS
    assert all(text.endswith(".") and not text.endswith("...") for text in summaries.values()), summaries


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(analysis, command):
    done = analysis(command, "--help")
    assert done.exit_code == 0
    assert f"Example: python -m analysis {command}" in " ".join(done.stdout.split())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["trials", "nowhere"], "experiment"),
        (["trials", "latest", "--cvs", "x"], "No such option"),
        (["retrain", "recipes/none.json"], "can't be read as a recipe"),
        (["retrain", "recipes/baseline_resnet34.json", "lossy=1"], "unknown key 'lossy'; did you mean loss?"),
        (["predict", "nowhere", "--data", "nowhere", "--out", "out/x"], "no folder nowhere"),
        (
            ["predict", "nowhere", "--data", "nowhere", "--out", "out/x", "--tta", "flop"],
            "did you mean flip?",
        ),
        (["predict", "a", "--data", "b", "--photos", "c", "--out", "out/x"], "give one of them"),
        (["predict", "nowhere", "--photos", "nobody", "--out", "out/x"], "no folder nobody"),
        (["ensemble", "a", "b", "--vote", "heart", "--out", "out/x"], "did you mean hard?"),
        (["ensemble", "a", "--out", "out/x"], "2 runs or more"),
        (["compare", "nowhere", "nobody"], "nowhere: does not exist"),
        (["eda", "nowhere", "--augment", "ligth"], "did you mean light?"),
        (["lr-range", "lossy=1", "--steps", "5", "--out", "out/x"], "--steps 5: must be 20 or more"),
        (["score", "none.csv", "none.csv"], "none.csv: can't be read"),
        (["eda", "nowhere"], "nowhere"),
        (["export-best", "latest"], "--out"),
    ],
)
def test_a_callers_mistake_is_one_message_and_exit_2(analysis, words, said):
    done = analysis(*words)
    assert done.exit_code == 2, done.stdout + done.stderr
    assert said in done.stderr


def test_missing_data_is_refused_before_training(analysis, tmp_path):
    words = (
        "retrain",
        "recipes/baseline_resnet34.json",
        "weights=none",
        "image_size=64x48",
        "--data",
        tmp_path / "x",
    )
    done = analysis(*words, "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert "no folder" in done.stderr
    assert not (tmp_path / "out").exists()
