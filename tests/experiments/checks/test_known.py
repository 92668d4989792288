"""Recipes that a search asks first by itself: only those that its trials train as they are."""

import json

import pytest

from common.machine import shipped
from experiments.check import check, with_known_recipes
from experiments.checks.known import COMPARED, RECIPES, known_recipes
from experiments.plan import SEARCH, read_plan
from tests.experiments.checks.test_search import searched
from tests.experiments.conftest import give
from trial.commands.arguments import parse_arguments
from trial.config import parse

RECIPE = {
    "model": "resnet18",
    "weights": "none",
    "learning_rate": 0.002,
    "schedule": {"_name": "cosine", "warmup": 0.25},
    "loss": {"_name": "focal", "gamma": 2.0},
    "augment": [{"_name": "flip", "p": 0.3}],
    "epochs": 20,
    "seed": 4,
}
FIXED = ("data=input", "group=owner", "model=resnet18", "weights=none", "epochs=3", "fold=all")
SPACE = {
    "learning_rate": {"_type": "loguniform", "_value": [0.001, 0.01]},
    "schedule": {
        "_type": "choice",
        "_value": [
            {"_name": "constant"},
            {"_name": "cosine", "warmup": {"_type": "uniform", "_value": [0, 1]}},
        ],
    },
    "loss": {"_type": "choice", "_value": ["cross_entropy", "focal"]},
    "augment": {"_type": "choice", "_value": ["light", [{"_name": "flip", "p": 0.3}]]},
}
POINT = {
    "learning_rate": 0.002,
    "schedule": {"_name": "cosine", "warmup": 0.25},
    "loss": "focal",
    "augment": [{"_name": "flip", "p": 0.3}],
}


@pytest.fixture
def folder(tmp_path):
    return write(tmp_path / "recipes", mine=RECIPE)


def write(folder, **recipes):
    folder.mkdir(exist_ok=True)
    for name, recipe in recipes.items():
        (folder / f"{name}.json").write_text(json.dumps({"about": "", "recipe": recipe}))
    return folder


def known(folder, space=SPACE, fixed=FIXED, first=(), trainings=40.0):
    return known_recipes(space, fixed, list(first), trainings, folder)


def test_one_that_the_trials_can_train_is_asked(folder):
    found = known(folder)
    assert found.points == [POINT]
    assert found.notes == ["known good recipes, tried first: mine"]


def option(name, *options):
    return SPACE | {name: {"_type": "choice", "_value": list(options)}}


OTHER = {
    "an option that leaves a parameter out": (option("schedule", "constant", "cosine"), FIXED, "schedule"),
    "a range that ends before it": (SPACE | {"learning_rate": {"_type": "uniform", "_value": [0.003, 1]}}, FIXED, "learning_rate"),
    "a step with another probability": (option("augment", "light", [{"_name": "flip", "p": 0.5}]), FIXED, "augment"),
    "a fixed word": (SPACE, (*FIXED, "optimizer=sgd"), "optimizer"),
    "a fixed word for a parameter": ({k: v for k, v in SPACE.items() if k != "loss"}, (*FIXED, "loss=focal", "loss.gamma=1"), "loss"),
    "a field of neither": (SPACE, ("weights=none",), "model"),
}  # fmt: skip


@pytest.mark.parametrize(("space", "fixed", "field"), OTHER.values(), ids=OTHER)
def test_one_that_they_would_train_otherwise_is_said_and_not_asked(folder, space, fixed, field):
    found = known(folder, space, fixed)
    assert found.points == []
    assert found.notes == [f"known good recipes that these trials can't train as they are: mine ({field})"]


@pytest.mark.parametrize(
    ("kind", "values", "taken"),
    [
        ("randint", [16, 64], {16: True, 63: True, 64: False}),
        ("quniform", [10, 50, 16], {10: True, 32: True, 50: True, 24: False}),
        ("qnormal", [32, 8, 8], {40: True, 33: False}),
        ("loguniform", [16, 64], {64: True, 65: False}),
    ],
)
def test_a_number_that_the_search_could_not_draw_is_not_asked(tmp_path, kind, values, taken):
    space = SPACE | {"batch_size": {"_type": kind, "_value": values}}
    for number, fits in taken.items():
        folder = write(tmp_path / f"of{number}", mine=RECIPE | {"batch_size": number})
        assert bool(known(folder, space).points) == fits, number


def test_a_network_that_carries_fields(folder):
    model = {"_name": "resnet18", "weights": {"_type": "choice", "_value": ["none"]}}
    space = SPACE | {"model": {"_type": "choice", "_value": [{"_name": "resnet34"}, model]}}
    (point,) = known(folder, space, ()).points
    assert point["model"] == {"_name": "resnet18", "weights": "none"}


def test_a_parameter_of_a_policys_step(tmp_path):
    folder = write(tmp_path / "recipes", mine=RECIPE | {"augment": {"_name": "winners", "flip.p": 0.25}})
    inner = {"_name": "winners", "flip.p": {"_type": "uniform", "_value": [0, 0.5]}}
    (point,) = known(folder, option("augment", {"_name": "light"}, inner)).points
    assert point["augment"] == {"_name": "winners", "flip.p": 0.25}


def test_at_most_a_quarter_of_the_trainings_and_three(tmp_path):
    rates = {f"r{number}": RECIPE | {"learning_rate": 0.002 + 0.001 * number} for number in range(6)}
    folder = write(tmp_path / "recipes", **rates)
    (folder / "a_link.json").symlink_to("r0.json")
    (folder / "broken.json").write_text("{")
    assert [len(known(folder, trainings=number).points) for number in (3, 8, 40, None)] == [0, 2, 3, 3]
    assert len(known(folder, first=["recipes/other.json", {"loss": "focal"}]).points) == 1
    assert known(folder, trainings=8).notes == [
        "known good recipes, tried first: a_link, r1",
        "known good recipes, not tried, as at most 2 are: r2, r3, r4, r5",
    ]


def test_of_those_that_the_yaml_names_it_says_what_is_the_experiments(folder):
    found = known(folder, fixed=(*FIXED, "batch_size=16"), first=["recipes/mine.json"])
    assert (found.points, found.notes) == (
        [],
        ["first: recipes/mine.json: the experiment's batch_size, not the recipe's"],
    )


@pytest.mark.parametrize("path", shipped("experiments", "*.yaml"), ids=lambda path: path.stem)
def test_what_a_shipped_experiment_asks_is_a_recipe_of_the_project(path):
    plan, _ = read_plan(path)
    if plan.config["tuner"].get("className") != SEARCH:
        assert with_known_recipes(plan) == (plan, [])
        return
    recipes = [parse(json.loads(one.read_text())["recipe"], False) for one in RECIPES.glob("*.json")]
    before = len((plan.config["tuner"].get("classArgs") or {}).get("first") or [])
    asked, notes = with_known_recipes(plan)
    assert notes
    points = asked.config["tuner"]["classArgs"].get("first", [])[before:]
    assert bool(points) == (path.stem in ("final_resnet34", "demo_faces"))
    for point in points:
        trained = parse(parse_arguments(plan.fixed, point), False)
        assert any(all(getattr(trained, name) == getattr(one, name) for name in COMPARED) for one in recipes)


def test_check_hands_them_to_the_search(mine, fast, folder, monkeypatch):
    monkeypatch.setattr(known_recipes, "__defaults__", (folder,))
    space = {"learning_rate": {"_type": "loguniform", "_value": [0.0001, 0.1]}}
    mine.space.write_text(json.dumps(space))
    plan = check(give(mine, tuner=searched()))
    assert plan.notes[0].startswith("known good recipes that these trials can't train as they are: mine (")
    assert "first" not in plan.config["tuner"]["classArgs"]
    own = parse(parse_arguments(plan.fixed, {"learning_rate": 0.007}), False)
    write(folder, mine={name: value for name, value in own.to_json().items() if name != "data"})
    plan = check(give(mine, tuner=searched(), maxTrialNumber=12))
    assert plan.notes[0] == "known good recipes, tried first: mine"
    assert plan.config["tuner"]["classArgs"]["first"] == [{"learning_rate": 0.007}]
