"""The smoke test's own parts; `make smoke` itself runs in CI."""

import json
from dataclasses import replace

import pytest

from common.machine import tracked
from experiments import smoke
from experiments.checks.space import each_value, values_of
from experiments.plan import read_plan
from trial.commands.arguments import parse_arguments
from trial.config import parse


@pytest.mark.parametrize("path", tracked("experiments", "*.yaml"), ids=lambda path: path.stem)
def test_a_trial_takes_each_tiny_recipe(path, people):
    plan = smoke._tiny(read_plan(path)[0], people)
    for point in each_value(values_of(plan.space)):
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
    number, left_out, (error,) = smoke._train_each_value(plan, tmp_path)
    # alexnet needs 64 x 64.
    assert trained == [("test_resnet.r160_in1k", (64, 64), 0.001), ("alexnet", (80, 80), 0.002)]
    assert (number, left_out, "alexnet" in error) == (2, "", True)
    assert error.endswith("RuntimeError: too fast")


def test_of_dozens_of_networks_some_are_trained_and_of_short_lists_every_value(
    mine, people, tmp_path, monkeypatch
):
    """With every second of twelve networks each of them met the first of two losses only."""
    plan = smoke._tiny(read_plan(mine.yaml)[0], people)
    networks = [f"network_{number}" for number in range(12)]
    losses = [f"loss_{number}" for number in range(8)]
    space = {"model": networks, "loss": losses, "sampler": ["a", "b"], "augment": list(range(54))}
    space = {field: {"_type": "choice", "_value": values} for field, values in space.items()}
    trained = []
    monkeypatch.setattr(smoke, "_read", lambda plan, point: point)
    monkeypatch.setattr(smoke, "_train", lambda point, folder: trained.append(point))
    number, left_out, errors = smoke._train_each_value(replace(plan, space=space), tmp_path)
    assert (number, errors) == (12, []) and len(trained) == 12
    assert left_out == "6 of 12 values of model and 42 of 54 values of augment"
    tried = {field: list(dict.fromkeys(point[field] for point in trained)) for field in space}
    assert (tried["loss"], tried["sampler"]) == (losses, ["a", "b"])
    assert len(tried["model"]) == 6 and {networks[0], networks[-1]} <= {*tried["model"]}
    assert {0, 53} <= {*tried["augment"]}


@pytest.mark.slow
def test_what_is_left_out_is_printed(mine, monkeypatch, capsys):
    monkeypatch.setattr(smoke, "_run_through_nni", lambda *given: [])
    monkeypatch.setattr(smoke, "_train_each_value", lambda *given: (6, "27 of 33 values of model", []))
    assert smoke.smoke([mine.yaml])
    assert "6 recipes trained, without 27 of 33 values of model, " in capsys.readouterr().out


def test_a_tiny_recipe_is_really_trained(mine, people, tmp_path):
    mine.change("epochs=2", "epochs=2 group=animal corrections=mine.csv")  # of one's own photos
    plan = smoke._tiny(read_plan(mine.yaml)[0], people)
    assert smoke._train_each_value(plan, tmp_path) == (3, "", [])


@pytest.mark.slow
def test_a_yaml_that_cannot_be_read_is_named(mine, capsys):
    mine.space.write_text("{")
    assert not smoke.smoke([mine.yaml])
    assert "space.json: Expecting" in capsys.readouterr().out
