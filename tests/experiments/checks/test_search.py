"""`check` tries the search and its assessor, and names what can't be before anything starts."""

import json
import math

import pytest

from common.machine import PROJECT
from experiments.check import check
from experiments.checks.spelling import spelling_errors
from tests.experiments.conftest import errors, give

pytest.importorskip("nni")

ASSESSOR = {"className": "tuners.search.CannotWin", "codeDirectory": str(PROJECT)}
NESTED = {
    "learning_rate": {"_type": "loguniform", "_value": [0.001, 0.01]},
    "loss": {
        "_type": "choice",
        "_value": [
            {"_name": "cross_entropy"},
            {"_name": "focal", "gamma": {"_type": "uniform", "_value": [1, 3]}},
        ],
    },
}


def searched(**arguments):
    return {"className": "tuners.search.Search", "codeDirectory": str(PROJECT), "classArgs": arguments}


def test_the_search_passes(mine, fast):
    mine.space.write_text(json.dumps(NESTED))
    given = searched(
        seed=1, default={"learning_rate": 0.002}, first=["recipes/cpu_hour.json", {"loss": "focal"}]
    )
    check(give(mine, tuner=given, assessor=ASSESSOR, maxTrialNumber=30))
    assert not list(mine.folder.rglob("study.journal"))


def test_a_known_good_recipe_that_does_not_fit_is_said(mine, fast):
    mine.space.write_text(json.dumps(NESTED))
    first = ["recipes/baseline_resnet34.json", {"loss": "focal"}]
    assert check(give(mine, tuner=searched(first=first))).summary()[-1] == (
        "first: recipes/baseline_resnet34.json is not tried, it does not fit the search space: "
        "learning_rate: 0.0001 is not from 0.001 to 0.01; loss: 'weighted' is not an option of the search space"
    )
    assert not [note for note in check(give(mine, tuner=searched(first=first[1:]))).notes if "first:" in note]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sampler": "gausian_process"}, "tuner: sampler: unknown name 'gausian_process'; did you mean gaussian_process?"),
        ({"sampler": "optuna_gp"}, "tuner: sampler optuna_gp: it draws parameters of nested choices at random, for ever,"),
        ({"warm_start": ["gone"]}, "tuner: warm_start: gone: there is no experiment, neither "),
        ({"first": ["recipes/gone.json"]}, "tuner: first: there is no recipes/gone.json; recipes of the project: "),
        ({"first": ["README.md"]}, "tuner: first: README.md is not a recipe ("),
        ({"first": [7]}, "tuner: first: 7 is neither the path of a recipe nor a mapping of fields to values"),
        ({"default": {"learning_rate": 1.0}}, "tuner: learning_rate: 1 is not from 0.001 to 0.01"),
        ({"optimize_mode": "minimize"}, "tuner: optimize_mode: 'minimize': scores are maximized here"),
        ({"sampler": "gausian", "first": [7]}, "tuner: sampler: unknown name 'gausian'; did you mean gaussian_process?; first: 7"),
    ],
)  # fmt: skip
def test_arguments_that_cannot_be(mine, fast, arguments, message):
    mine.space.write_text(json.dumps(NESTED))
    (error,) = errors(give(mine, tuner=searched(**arguments), assessor=ASSESSOR))
    assert error.startswith(message)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("trainings", "2", "'2' is not a number above 0; write 2"),
        ("trainings", "1e1", "'1e1' is not a number above 0; write 10"),  # YAML takes it for a text
        ("trainings", [2], "[2] is not a number above 0"),
        ("trainings", math.inf, "inf is not a number above 0"),
        ("trainings", True, "True is not a number above 0"),
        ("trainings", "many", "'many' is not a number above 0"),
        ("hours", "0.5", "'0.5' is not a number above 0; write 0.5"),
    ],
)
def test_budgets_that_are_no_numbers(mine, fast, name, value, said):
    given = give(mine, tuner=searched(**{name: value}), assessor=ASSESSOR, maxTrialNumber=30)
    assert f"tuner.classArgs.{name}: {said}" in errors(given)


def test_an_argument_that_it_does_not_take(mine, fast):
    (error,) = errors(give(mine, tuner=searched(smapler="tpe")))
    assert error == "tuner.classArgs: unknown argument 'smapler'; did you mean sampler?"


def test_the_assessor_needs_the_search(mine, fast):
    (error,) = errors(give(mine, tuner={"name": "Random"}, assessor=ASSESSOR))
    assert error == "assessor: CannotWin works with the tuner tuners.search.Search only"


def test_settings_take_fields_out_of_known_good_points_too(mine, fast):
    mine.space.write_text(json.dumps(NESTED))
    given = searched(
        default={"learning_rate": 0.002},
        first=[{"loss": "focal", "learning_rate": 0.003}, "recipes/cpu_hour.json"],
    )
    plan = check(give(mine, tuner=given), settings=["learning_rate=.005"])
    assert plan.config["tuner"]["classArgs"]["default"] == {}
    assert plan.config["tuner"]["classArgs"]["first"] == [{"loss": "focal"}, "recipes/cpu_hour.json"]


def test_other_spellings_than_those_of_trials_are_refused_where_recipes_are_looked_for(mine, fast):
    options = {
        "image_size": ["64X48", [96, 64], "32x32"],
        "augment": [["flip"], [{"_name": "jitter"}], "none", "seed"],
        "train_share": [0.5, 1],
        "patience_on": ["macro_f1", "validation_loss"],
        "ema": [0, 0.9],
    }
    space = {key: {"_type": "choice", "_value": values} for key, values in options.items()}
    mine.space.write_text(json.dumps(space))
    mine.change("image_size=32x32", "")
    assert check(give(mine, tuner=searched(first=[{"ema": 0.9}]))), "a point is in the space's words"
    found = errors(give(mine, tuner=searched(first=["recipes/cpu_hour.json"])))
    assert [error.partition(": write that")[0] for error in found] == [
        "image_size: trials write '64x48' for '64X48'",
        "image_size: trials write '96x64' for [96, 64]",
        "augment: trials write 'color_jitter' for [{'_name': 'jitter'}]",
        "augment: trials write 'baseline' for 'seed'",
        "train_share: trials call it train_fraction",
        "patience_on: trials write 'score' for 'macro_f1'",
    ]


def test_the_spellings_of_shipped_spaces_are_those_of_trials():
    for path in sorted((PROJECT / "search_spaces").glob("*.json")):
        assert spelling_errors(json.loads(path.read_text())) == [], path.name


def test_a_warm_start_that_shares_nothing(mine, fast, tmp_path):
    """Recipes of another space: none fits this one."""
    for number in range(4):
        run = tmp_path / "earlier" / "trials" / f"t{number}"
        run.mkdir(parents=True)
        (run / "status.json").write_text(json.dumps({"state": "done", "score": 0.1 * number}))
        (run / "config.json").write_text(json.dumps({"weight_decay": 0.01 * number}))
    mine.space.write_text(json.dumps(NESTED))
    (error,) = errors(give(mine, tuner=searched(warm_start=[str(tmp_path / "earlier")]), assessor=ASSESSOR))
    assert error.startswith(
        "tuner: warm_start: the search space shares nothing with the earlier experiments (earlier: 0 of its 4 "
        "finished and 0 of its 0 paused or stopped recipes fit this space)"
    )


BAD = {
    "an empty choice": ({"loss": {"_type": "choice", "_value": []}}, "loss: _value [] is not a list with something in it"),
    "a log range over zero": ({"learning_rate": {"_type": "loguniform", "_value": [0, 0.1]}}, "learning_rate: loguniform must start above 0"),
    "no _name": ({"loss": {"_type": "choice", "_value": [{"gamma": {"_type": "uniform", "_value": [1, 3]}}]}}, "has no _name: which option is it?"),
    "two of one name": ({"loss": {"_type": "choice", "_value": [{"_name": "focal"}, {"_name": "focal"}]}}, "loss: two options are 'focal'"),
}  # fmt: skip


@pytest.mark.parametrize("tuner", [searched(), {"name": "GridSearch"}], ids=["search", "grid"])
@pytest.mark.parametrize(("space", "said"), BAD.values(), ids=BAD)
def test_a_space_that_cannot_be_searched(mine, fast, tuner, space, said):
    mine.space.write_text(json.dumps(space))
    (error,) = errors(give(mine, tuner=tuner))
    assert said in error
