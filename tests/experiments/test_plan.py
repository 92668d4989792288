"""A YAML means the same to `experiments check` and to `trial weights --experiment`, as NNI spells its keys."""

import json

import pytest

from experiments.plan import read_plan
from tests.experiments.conftest import GOOD
from trial.commands.fetch import named_by

SNAKE = {
    "experimentName": "experiment_name",
    "searchSpaceFile": "search_space_file",
    "trialCodeDirectory": "trial_code_directory",
    "trialCommand": "trial_command",
    "maxTrialNumber": "max_trial_number",
    "className": "class_name",
    "codeDirectory": "code_directory",
    "classArgs": "class_args",
    "trainingService": "TrainingService",
}
SPACE = {"model": {"_type": "choice", "_value": ["resnet18", "resnet34"]}}


def snake(text: str) -> str:
    for key, other in SNAKE.items():
        assert key in text
        text = text.replace(f"{key}:", f"{other}:")
    return text.replace("model=test_resnet.r160_in1k ", "")


@pytest.mark.parametrize("spelled", [str, snake], ids=["camelCase", "snake_case"])
def test_keys_in_any_of_nnis_spellings(mine, spelled):
    mine.yaml.write_text(spelled(GOOD))
    mine.space.write_text(json.dumps(SPACE))
    plan, errors = read_plan(mine.yaml)
    assert errors == []
    assert (plan.name, plan.space, plan.config["maxTrialNumber"]) == ("mine", SPACE, 2)
    assert plan.config["tuner"]["classArgs"] == {"seed": 1}
    assert named_by(mine.yaml) == [("resnet18", ["none"]), ("resnet34", ["none"])]


def test_a_space_in_ones_home(mine, tmp_path, monkeypatch):
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    mine.space.unlink()
    (home / "space.json").write_text(json.dumps(SPACE))
    mine.yaml.write_text(snake(GOOD).replace(": space.json", ": ~/space.json"))
    plan, errors = read_plan(mine.yaml)
    assert (plan.space, errors) == (SPACE, [])
    assert named_by(mine.yaml) == [("resnet18", ["none"]), ("resnet34", ["none"])]


def test_a_space_in_the_yaml_itself(mine):
    mine.change("searchSpaceFile: space.json", f"searchSpace: {json.dumps(SPACE)}")
    plan, errors = read_plan(mine.yaml)
    assert (plan.space, errors) == (SPACE, [])
    assert named_by(mine.yaml) == [("resnet18", ["none"]), ("resnet34", ["none"])]


def test_our_tuner_is_told_of_the_time_limit(mine):
    def arguments():
        plan, errors = read_plan(mine.yaml)
        assert errors == []
        return plan.effective()["tuner"]["classArgs"]

    assert arguments() == {"seed": 1}
    mine.change("maxTrialNumber: 2", "maxExperimentDuration: 90m")
    assert arguments() == {"seed": 1, "hours": 1.5}
    mine.change("{seed: 1}", "{seed: 1, hours: 1}")
    assert arguments() == {"seed": 1, "hours": 1}
    mine.change("className: tuners.search.Search", "className: mine.Search")
    mine.change(", hours: 1", "")
    assert arguments() == {"seed": 1}


def test_lines_of_a_command_as_the_shell_reads_them(mine):
    """It would run the first line, and take key=value words on the second for settings of its own."""
    mine.change("trialCommand: >-", "trialCommand: |")
    assert "the shell ends the command at the end of its first line" in read_plan(mine.yaml)[1][0]
    *_, last = (line for line in GOOD.splitlines() if line.startswith("  "))
    text = GOOD.replace("trialCommand: >-", "trialCommand: |").replace("\n  ", " \\\n  ").replace("| \\", "|")
    mine.yaml.write_text(text)
    assert read_plan(mine.yaml)[0].fixed[-1] in last and read_plan(mine.yaml)[1] == []
