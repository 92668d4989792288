"""Known good recipes come first; arguments of the search that can't be."""

import json

import pytest

from common.machine import PROJECT
from tuners.errors import UsageError
from tuners.spaces.default_point import default_point

nni = pytest.importorskip("nni")

from tests.tuners.searching import (  # noqa: E402
    SPACE,
    again,
    approximately,
    chosen_by,
    played,
    search,
)
from tuners.search import Search  # noqa: E402


def test_known_good_recipes_come_right_after_the_default(tmp_path, caplog, monkeypatch):
    good = {
        "about": "",
        "recipe": {"model": "b", "lr": 0.002, "loss": {"_name": "focal", "gamma": 1.5}, "epochs": 9},
    }
    wide = {"recipe": {"model": "z", "lr": 1.0}}
    for name, content in (("good", good), ("wide", wide)):
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    monkeypatch.setattr("tuners.spaces.recipes.PROJECT", tmp_path)
    made = search(first=["good.json", "wide.json", {"model": "c"}, {"model": "a"}])
    points = made.generate_multiple_parameters(range(4))
    assert points[1] == {"model": "b", "lr": 0.002, "loss": {"_name": "focal", "gamma": 1.5}}
    assert points[2] == approximately(default_point(SPACE) | {"model": "c"})
    assert chosen_by(made) == ["default", "first", "first", "start-up"], (
        "a point that is the default is not repeated"
    )
    assert "wide.json is not tried" in caplog.text
    assert "model: 'z' is not an option" in caplog.text
    assert "lr: 1 is not from 0.0001 to 0.01" in caplog.text


def test_a_resumed_search_asks_known_good_recipes_that_are_left(fake):
    made = search(first=[{"model": "b"}, {"model": "c"}])
    played(made, 2)
    assert again(made, first=[{"model": "b"}, {"model": "c"}]).generate_parameters(2)["model"] == "c"


def test_recipes_of_the_project_fit_spaces_that_have_them():
    recipe = json.loads((PROJECT / "recipes" / "baseline_resnet34.json").read_text())["recipe"]
    steps = [{"_name": "flip", "p": 0.3}]
    space = {
        "model": {"_type": "choice", "_value": [{"_name": "resnet18"}, {
            "_name": "resnet34.tv_in1k", "batch_size": {"_type": "choice", "_value": [32, 64]}}]},
        "optimizer": {"_type": "choice", "_value": ["adamw", "adam"]},
        "loss": {"_type": "choice", "_value": [{
            "_name": "weighted", "class_weights": {"_type": "choice", "_value": ["inverse", "one_minus_frequency"]}}]},
        "augment": {"_type": "choice", "_value": ["none", steps, "baseline"]},
        "head": {"_type": "choice", "_value": ["linear", "factors"]},
    }  # fmt: skip
    made = search(space, first=["recipes/baseline_resnet34.json"])
    _, point = made.generate_multiple_parameters([0, 1])
    assert point["model"] == {"_name": "resnet34.tv_in1k", "batch_size": recipe["batch_size"]}
    assert point["optimizer"] == "adam"
    assert point["loss"] == {"_name": "weighted", "class_weights": "one_minus_frequency"}
    assert point["augment"] == steps
    assert point["head"] == "linear"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sampler": "gausian_process"}, "unknown name 'gausian_process'; did you mean gaussian_process"),
        ({"optimize_mode": "minimize"}, "'minimize': scores are maximized here"),
        (
            {"first": ["recipes/nothing.json"]},
            r"there is no recipes/nothing.json; recipes of the project: .*seed_resnet34",
        ),
        ({"first": ["pyproject.toml"]}, "pyproject.toml is not a recipe"),
        ({"first": [3]}, "3 is neither the path of a recipe nor a mapping"),
        ({"warm_start": ["gone"]}, "gone: there is no experiment"),
        ({"warm_start": ["gone"], "sampler": "tpe"}, "is for the sampler gaussian_process, not for tpe"),
    ],
)
def test_arguments_that_cannot_be(arguments, message):
    with pytest.raises(UsageError, match=message):
        Search(**arguments)


def test_all_wrong_arguments_are_named_at_once():
    with pytest.raises(UsageError) as raised:
        Search(optimize_mode="minimize", sampler="tp", first=["a.json"], warm_start=["b"])
    assert all(word in str(raised.value) for word in ("minimize", "tpe", "a.json", "b:"))


@pytest.mark.parametrize("name", ["optuna_gp", "cma_es"])
def test_samplers_that_cannot_search_nested_choices(name):
    with pytest.raises(UsageError, match=f"sampler {name}: .*loss.focal.gamma.*use gaussian_process"):
        search(sampler=name)


def test_a_default_that_does_not_fit():
    with pytest.raises(UsageError, match="lr: 1 is not from"):
        search(default={"lr": 1.0})
