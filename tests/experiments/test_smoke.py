"""The smoke test's own parts; `make smoke` itself runs in CI."""

import json

import pytest

from common.machine import shipped
from experiments import smoke
from experiments.checks.space import each_value
from experiments.plan import read_plan
from trial.arguments import parse_arguments
from trial.config import parse


@pytest.mark.parametrize("path", shipped("experiments", "*.yaml"), ids=lambda path: path.stem)
def test_a_trial_takes_each_tiny_recipe(path, people):
    plan = smoke._tiny(read_plan(path)[0], people)
    for point in each_value(plan.space):
        parse(parse_arguments(plan.fixed, point), present=False)


def test_each_value_is_trained_and_what_fails_is_named(mine, people, tmp_path, monkeypatch):
    space = {
        "model": {"_type": "choice", "_value": ["test_resnet.r160_in1k", "alexnet"]},
        "image_size": {"_type": "choice", "_value": ["512x384", "256x192"]},
        "learning_rate": {"_type": "choice", "_value": [0.001, 0.002]},
    }
    mine.space.write_text(json.dumps(space))
    mine.change(" image_size=32x32", "")
    mine.change("model=test_resnet.r160_in1k ", "")
    trained = []

    def train(config, folder):
        trained.append((config.model, config.image_size, config.learning_rate))
        if config.learning_rate == 0.002:
            raise RuntimeError("too fast")

    monkeypatch.setattr(smoke, "_train", train)
    plan = smoke._tiny(read_plan(mine.yaml)[0], people)
    number, (error,) = smoke._train_each_value(plan, tmp_path)
    # alexnet needs 64 x 64.
    assert trained == [("test_resnet.r160_in1k", (64, 64), 0.001), ("alexnet", (80, 80), 0.002)]
    assert (number, error.endswith("RuntimeError: too fast"), "alexnet" in error) == (2, True, True)


def test_a_tiny_recipe_is_really_trained(mine, people, tmp_path):
    plan = smoke._tiny(read_plan(mine.yaml)[0], people)
    assert smoke._train_each_value(plan, tmp_path) == (3, [])


def test_a_yaml_that_cannot_be_read_is_named(mine, capsys):
    mine.space.write_text("{")
    assert not smoke.smoke([mine.yaml])
    assert "space.json: Expecting" in capsys.readouterr().out
