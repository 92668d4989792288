import numpy as np
import pytest
import torch

from trial.augment.geometric import random_resized_crop
from trial.augment.photometric import random_erasing
from trial.augment.policies import POLICIES, parse_policy
from trial.rng import Draw


def parsed(value):
    errors: list[str] = []
    policy = parse_policy(value, errors)
    return policy, errors


@pytest.mark.parametrize("name", POLICIES)
def test_every_policy_parses_and_its_json_is_read_back(name):
    policy, errors = parsed(name)
    assert not errors
    assert parsed(policy.to_json()) == (policy, [])


def test_each_step_says_where_it_runs():
    policy, _ = parsed(["flip", "GaussianBlur", "noise"])
    assert [(step["_name"], step["on"]) for step in policy.to_json()["steps"]] == [
        ("flip", "photo"), ("GaussianBlur", "photo"), ("noise", "batch"),
    ]  # fmt: skip
    assert [step.on for step in parsed("light")[0].steps] == ["batch"] * 3


def test_a_step_of_ours_can_be_sent_to_the_workers_with_all_before_it():
    policy, errors = parsed(["flip", {"_name": "noise", "on": "photo"}, "random_erasing"])
    assert not errors
    assert [step.on for step in policy.steps] == ["photo", "photo", "batch"]


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        (
            [{"_name": "GaussianBlur", "on": "batch"}],
            "GaussianBlur runs photo by photo, not on batches",
        ),
        (
            [{"_name": "flip", "on": "batch"}, "GaussianBlur"],
            "flip on batches can't come before GaussianBlur",
        ),
        ([{"_name": "flip", "on": "gpu"}], "on='gpu' is neither 'photo' nor 'batch'"),
        ([{"_name": "flip", "p": 2}], "p=2 is not a probability"),
        ([{"_name": "perspektive"}], "did you mean perspective?"),
        ([{"_name": "affine", "degrees": 100}], "degrees"),
        ([{"_name": "rand_augment", "magnitude": 40}], "40 is not from 0 to 30"),
        ([{"_name": "rand_augment", "on": "batch"}], "rand_augment runs photo by photo"),
        ([3], "3 is not a step"),
        ({"_name": "light", "stepps": []}, "did you mean steps?"),
        ({"_name": "winners", "random_erazing.p": 0.3}, "did you mean random_erasing.PARAMETER?"),
        ({"_name": "winners", "random_erasing.q": 0.3}, "unknown parameter 'q'"),
        ({"_name": "winners", "p": 0.3}, "known: flip.PARAMETER"),
        ([{"_name": ["flip"]}], "['flip'] is not the name of a step"),
        (
            [{"_name": "random_erasing", "min_area": 0.5, "max_area": 0.1}],
            "min_area=0.5 must not be above max_area=0.1",
        ),
        ([{"_name": "flip", "p": {"_type": "uniform", "_value": [0, 1]}}], "NNI draws nothing inside a list"),
    ],
)
def test_mistakes_are_reported(steps, message):
    errors = parsed(steps)[1]
    assert any(message in error for error in errors), errors


def test_a_named_policys_parameters_can_be_set_one_by_one():
    shipped, _ = parsed("winners")
    changed, errors = parsed({"_name": "winners", "random_erasing.p": 0.25, "flip.p": 0})
    assert not errors
    assert changed.name == "winners"
    params = {step.choice.name: dict(step.choice.params) for step in changed.steps}
    assert (params["random_erasing"]["p"], params["flip"]["p"]) == (0.25, 0)
    assert [step.choice.name for step in changed.steps] == [step.choice.name for step in shipped.steps]
    assert parsed(changed.to_json()) == (changed, [])
    own, _ = parsed({"_name": "own", "steps": ["flip", {"_name": "MedianBlur"}], "MedianBlur.p": 0.1})
    assert dict(own.steps[1].choice.params)["p"] == 0.1


def test_a_list_is_called_by_its_steps_and_never_as_another_policy():
    assert parsed(["flip", "random_erasing"])[0].name == "flip+random_erasing"
    assert parsed(["rand_augment"])[0].name == "[rand_augment]"  # rand_augment flips, too
    assert parsed([])[0].name == "none"


def test_what_earlier_runs_called_custom_is_the_same_policy():
    own, _ = parsed(["flip", "random_erasing"])
    assert parsed({**own.to_json(), "_name": "custom"}) == (own, [])


@pytest.mark.parametrize(
    ("step", "least"),
    [
        ({"_name": "random_resized_crop"}, 0.7),
        ({"_name": "random_resized_crop", "min_area": 1, "max_ratio": 3}, 1),
        ({"_name": "random_resized_crop", "min_area": 0.7, "max_ratio": 3}, 0.7),
    ],
)
def test_a_crop_is_no_smaller_than_asked_for(step, least):
    given = {key: value for key, value in step.items() if key != "_name"}
    draw = Draw(np.random.default_rng(0), np.arange(4000), 1, (128, 96))
    matrices = random_resized_crop(**given)(draw)
    areas = matrices[:, 0, 0] * matrices[:, 1, 1]
    assert areas.min() > least - 1e-9 and matrices[:, [0, 1], [0, 1]].max() < 1 + 1e-9


@pytest.mark.parametrize("bounds", [(0.02, 0.33), (0.5, 0.5), (0.9, 1)])
def test_an_erased_rectangle_is_no_smaller_than_asked_for(bounds):
    draw = Draw(np.random.default_rng(0), np.arange(500), 1, (128, 96))
    change = random_erasing(min_area=bounds[0], max_area=bounds[1], value=1, p=1)
    erased = change(torch.zeros(500, 1, 128, 96), draw).mean((1, 2, 3))
    assert erased.min() > bounds[0] - 0.02 and erased.max() < bounds[1] + 0.02
