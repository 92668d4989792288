import subprocess
import sys

import pytest

from common.machine import PROJECT

COMMANDS = (
    "trials",
    "export-best",
    "retrain",
    "export-best-and-retrain",
    "predict",
    "ensemble",
    "score",
    "report",
    "eda",
    "lr-range",
)


def analysis(*words: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "analysis", *map(str, words)], cwd=PROJECT, capture_output=True, text=True
    )


def test_the_help_shows_each_summary_whole(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    lines = analysis("--help").stdout.partition("Commands:\n")[2].splitlines()
    summaries = dict(line.split(maxsplit=1) for line in lines)
    assert tuple(summaries) == COMMANDS
    assert all(text.endswith(".") and not text.endswith("...") for text in summaries.values()), summaries


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command):
    done = analysis(command, "--help")
    assert done.returncode == 0
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
        (["eda", "nowhere", "--augment", "ligth"], "did you mean light?"),
        (["lr-range", "lossy=1", "--steps", "5", "--out", "out/x"], "--steps 5: must be 20 or more"),
        (["score", "none.csv", "none.csv"], "none.csv: can't be read"),
        (["eda", "nowhere"], "nowhere"),
        (["export-best", "latest"], "--out"),
    ],
)
def test_a_callers_mistake_is_one_message_and_exit_2(words, said):
    done = analysis(*words)
    assert done.returncode == 2, done.stdout + done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_missing_data_is_refused_before_training(tmp_path):
    words = (
        "retrain",
        "recipes/baseline_resnet34.json",
        "weights=none",
        "image_size=64x48",
        "--data",
        tmp_path / "x",
    )
    done = analysis(*words, "--out", tmp_path / "out")
    assert done.returncode == 2
    assert "no folder" in done.stderr
    assert not (tmp_path / "out").exists()
