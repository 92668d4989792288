"""Recipes of run folders, as points of a search space."""

import json

import pytest

from common.machine import shipped
from experiments.checks.space import each_value, values_of
from trial.commands.arguments import parse_arguments
from trial.config import parse
from tuners.errors import UsageError
from tuners.spaces.default_point import default_point
from tuners.spaces.recipes import First, point_of
from tuners.spaces.space import Space

SPACES = shipped("search_spaces", "*.json")


@pytest.mark.parametrize("path", SPACES, ids=lambda path: path.stem)
def test_a_run_of_a_shipped_space_is_found_in_it_again(path):
    """What config.json records of a point says which point it was."""
    space = json.loads(path.read_text())
    found = 0
    for point in each_value(values_of(space)):
        try:
            config = parse(parse_arguments((), point), present=False)
        except UsageError:  # two values that exclude each other
            continue
        params = Space(space).params(point)
        again, missing, wrong = point_of(space, json.loads(json.dumps(config.to_json())))
        assert (missing, wrong) == ([], [])
        assert Space(space).params(again) == params
        found += 1
    assert found


@pytest.mark.parametrize("path", SPACES, ids=lambda path: path.stem)
def test_the_default_of_a_shipped_space_fits_it(path):
    space = json.loads(path.read_text())
    params = Space(space).params(default_point(space))
    assert First("", {}, True).params(space, None) == (params, [])


def test_a_policy_is_another_if_a_step_differs():
    space = {
        "augment": {
            "_type": "choice",
            "_value": [[{"_name": "flip", "p": 0.5}, {"_name": "CoarseDropout"}], "light"],
        }
    }
    steps = [{"_name": "flip", "p": 0.5}, {"_name": "CoarseDropout", "p": 0.5}]
    point, _, wrong = point_of(space, {"augment": {"_name": "flip+CoarseDropout", "steps": steps}})
    assert (list(point["augment"]), wrong) == (space["augment"]["_value"][0], [])
    for other in (steps[:1], [{"_name": "flip", "p": 0.4}, steps[1]], steps[::-1]):
        assert point_of(space, {"augment": {"_name": "x", "steps": other}})[2] == [
            "augment: 'x' is not an option of the search space"
        ]


def test_what_an_option_has_no_place_for_is_said():
    space = {
        "schedule": {"_type": "choice", "_value": ["constant", "cosine"]},
        "augment": {"_type": "choice", "_value": ["none", "baseline"]},
        "loss": {
            "_type": "choice",
            "_value": [{"_name": "focal", "gamma": {"_type": "uniform", "_value": [1, 3]}}],
        },
    }
    fields = {
        "schedule": {"_name": "cosine", "warmup": 0.25},
        "augment": {"_name": "baseline", "steps": []},
        "loss": {"_name": "focal", "gamma": 2.0, "alpha": 0.5},
    }
    params, notes = First("mine.json", fields).params(space, None)
    assert params["schedule"] == "cosine"
    assert notes == [
        "is tried without its schedule.warmup=0.25: the search space has no place for that",
        "is tried without its loss.alpha=0.5: the search space has no place for that",
    ]
    _, notes = First("mine.json", {"schedule": "cosine", "loss": fields["loss"] | {"alpha": 1}}).params(
        space | {"loss": {"_type": "choice", "_value": ["focal"]}}, None
    )
    assert notes[0] == "has no augment: the default's"
    assert "loss.alpha=1, loss.gamma=2.0" in notes[1]


def test_true_is_not_one():
    space = {"compile": {"_type": "choice", "_value": [1, True]}}
    assert point_of(space, {"compile": True})[0]["compile"] is True
    assert point_of(space, {"compile": 1})[0]["compile"] is not True
