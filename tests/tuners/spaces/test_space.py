import json
import math

import numpy as np
import optuna
import pytest

from common.machine import PROJECT
from tuners.spaces.default_point import default_point
from tuners.spaces.space import Space

optuna.logging.set_verbosity(optuna.logging.ERROR)


def spec(kind, *values):
    return {"_type": kind, "_value": list(values)}


NESTED = {
    "model": spec("choice", "a", "b", None),
    "lr": spec("loguniform", 0.0001, 0.01),
    "loss": spec(
        "choice",
        {"_name": "plain"},
        {
            "_name": "focal",
            "gamma": spec("uniform", 1, 3),
            "weights": spec(
                "choice", {"_name": "none"}, {"_name": "power", "of": spec("quniform", 0, 1, 0.1)}
            ),
        },
    ),
    "steps": spec("choice", [{"_name": "flip", "p": 0.5}], "light", []),
    "flag": spec("choice", True, False),
    "size": spec("choice", "32x24", "64x48", "48x36"),
    "depth": spec("randint", 2, 6),
}
SHIPPED = sorted(PROJECT.glob("search_spaces/*.json"))


def random_space(rng, deepest, depth=0):
    """A nested space with ranges of every type."""

    def random_spec():
        kind = rng.choice(
            [
                "choice",
                "choice",
                "numbers",
                "uniform",
                "loguniform",
                "quniform",
                "qloguniform",
                "randint",
                "normal",
                "lognormal",
                "qnormal",
                "qlognormal",
                "steps",
            ]
        )
        low, width, step = rng.uniform(0.1, 5), rng.uniform(0.5, 20), rng.choice([0.1, 0.25, 1, 3])
        if kind == "choice" and depth < deepest and rng.random() < 0.6:
            return spec(
                "choice",
                *[
                    {"_name": f"o{i}", **random_space(rng, deepest, depth + 1)}
                    for i in range(rng.integers(1, 4))
                ],
            )
        if kind == "choice":
            return spec("choice", *rng.permutation(["x", "y", "z"])[: rng.integers(1, 4)].tolist())
        if kind == "numbers":
            return spec("choice", *rng.permutation([0.5, 3, 1, 20]).tolist())
        if kind == "steps":
            return spec("choice", [{"_name": "flip"}], "none", {"p": 1})
        if kind == "randint":
            return spec(kind, int(low), int(low + width) + 2)
        if "normal" in kind:
            return spec(kind, low / 2, width / 20, *([float(step)] if kind[0] == "q" else []))
        return spec(kind, low, low + width, *([float(step)] if kind[0] == "q" else []))

    return {f"k{i}": random_spec() for i in range(rng.integers(0 if depth else 1, 5))}


SPACES = {
    "nested": NESTED,
    **{path.stem: json.loads(path.read_text()) for path in SHIPPED},
    **{
        f"random {seed}": random_space(np.random.default_rng(seed), deepest=1 + seed % 3)
        for seed in range(60)
    },
}


@pytest.mark.parametrize("name", SPACES)
def test_round_trips(name):
    space, rng = Space(SPACES[name]), np.random.default_rng(0)
    for _ in range(20):
        params = space.at(space.draw(rng, 1)[0])
        point = space.point(params)
        assert space.params(point) == params
        assert space.params(json.loads(json.dumps(point))) == params
        assert space.holds(params)
        again = space.at(space.positions(params))
        assert again == {k: pytest.approx(v) if isinstance(v, float) else v for k, v in params.items()}
        assert {k: type(v) for k, v in again.items()} == {k: type(v) for k, v in params.items()}


# NNI's random tuner raises KeyError for choices nested in nested choices.
FLAT = [
    name
    for name, space in SPACES.items()
    if not any(p.condition and "." in p.condition[0] for p in Space(space).parameters)
]


@pytest.mark.parametrize("name", FLAT)
def test_nni_draws_the_same_values(name):
    """Every point of NNI's random tuner fits, and every value that we draw is one that NNI could draw."""
    formatting = pytest.importorskip("nni.common.hpo_utils")
    from nni import NoMoreTrialError
    from nni.algorithms.hpo.random_tuner import RandomTuner

    tuner, space = RandomTuner(seed=0), Space(SPACES[name])
    tuner.update_search_space(SPACES[name])
    for number in range(30):
        try:
            point = tuner.generate_parameters(number)
        except NoMoreTrialError:
            break
        try:
            params = space.params(point)
        except ValueError:
            if "normal" not in json.dumps(SPACES[name]):
                raise
            continue  # a normal range is cut three standard deviations from its mean
        assert space.point(params) == _approximately(point)
    rng, formatted = np.random.default_rng(0), formatting.format_search_space(SPACES[name])
    for _ in range(10):
        point = space.point(space.at(space.draw(rng, 1)[0]))
        if "qlognormal" in json.dumps(SPACES[name]):  # NNI takes the logarithm of 0
            continue
        theirs = formatting.deformat_parameters(formatting.format_parameters(point, formatted), formatted)
        assert theirs == _approximately(point)


def _approximately(value):
    if isinstance(value, dict):
        return {key: _approximately(inner) for key, inner in value.items()}
    return pytest.approx(value) if isinstance(value, float) else value


@pytest.mark.parametrize("name", SPACES)
def test_an_optuna_trial_is_asked_for_the_active_parameters_only(name):
    space = Space(SPACES[name])
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(5):
        trial = study.ask()
        point = space.ask(trial)
        assert space.params(point) == _approximately(trial.params)
        assert space.holds(trial.params)


def test_the_default_fits_its_space():
    for space in SPACES.values():
        if "normal" not in json.dumps(space):
            Space(space).params(default_point(space))


def test_names_and_conditions():
    space = Space(NESTED)
    conditions = {parameter.name: parameter.condition for parameter in space.parameters}
    assert conditions["loss"] is None
    assert conditions["loss.focal.gamma"] == ("loss", "focal")
    assert conditions["loss.focal.weights.power.of"] == ("loss.focal.weights", "power")


def test_inactive_parameters_never_appear():
    space, rng = Space(NESTED), np.random.default_rng(0)
    rows = space.around(rng, space.draw(rng, 300), 0.2)
    for row in rows:
        params = space.at(row)
        assert ("loss.focal.gamma" in params) == (params["loss"] == "focal")
        assert ("loss.focal.weights.power.of" in params) == (params.get("loss.focal.weights") == "power")
        assert set(space.point(params)["loss"]) <= {"_name", "gamma", "weights"}
        assert space.holds(params)


def test_numbers_have_an_order_and_names_do_not():
    space = Space(NESTED)
    assert space["model"].is_category
    assert space["flag"].is_category
    assert not space["size"].is_category
    assert [space["size"].position(s) for s in ("32x24", "48x36", "64x48")] == [
        0,
        pytest.approx(math.log(2.25) / math.log(4)),
        1,
    ]
    assert space["lr"].position(0.001) == pytest.approx(0.5)
    assert space["depth"].values() == [2, 3, 4, 5]


def test_random_values_are_distributed_as_they_should_be():
    space = Space(
        {
            "a": spec("loguniform", 1, 100),
            "b": spec("normal", 5, 2),
            "c": spec("qloguniform", 1, 128, 1),
            "d": spec("choice", 8, 16, 512),
        }
    )
    rng = np.random.default_rng(0)
    drawn = [space.at(space.draw(rng, 1)[0]) for _ in range(4000)]
    assert np.mean([params["a"] < 10 for params in drawn]) == pytest.approx(0.5, abs=0.03)
    assert np.mean([params["b"] for params in drawn]) == pytest.approx(5, abs=0.15)
    assert np.std([params["b"] for params in drawn]) == pytest.approx(2, rel=0.05)
    assert np.mean([params["c"] < 32 for params in drawn]) == pytest.approx(
        5 / 7, abs=0.04
    )  # by its logarithm
    assert np.mean([params["d"] == 8 for params in drawn]) == pytest.approx(1 / 3, abs=0.03)


def test_neighbours_are_near_and_never_the_same():
    space, rng = Space(NESTED), np.random.default_rng(0)
    row = space.positions(
        {
            "model": "a",
            "lr": 0.001,
            "loss": "plain",
            "steps": "light",
            "flag": True,
            "size": "48x36",
            "depth": 3,
        }
    )
    rows = space.around(rng, np.repeat(row[None], 500, 0), 0.05)
    changed = (rows != row) & ~(np.isnan(rows) & np.isnan(row))
    lr = [parameter.name for parameter in space.parameters].index("lr")
    assert changed[:, lr].mean() > 0.2
    assert np.abs(rows[:, lr] - row[lr]).max() < 0.25
    assert 1 <= changed.sum(1).mean() < 4


def test_the_grid_of_a_nested_space_holds_every_recipe_once():
    space = Space(
        {
            "loss": NESTED["loss"]["_value"]
            and spec("choice", {"_name": "a", "k": spec("choice", 1, 2)}, {"_name": "b"}),
            "n": spec("randint", 0, 2),
        }
    )
    assert list(space.grid()) == [
        {"loss": "a", "loss.a.k": 1, "n": 0}, {"loss": "a", "loss.a.k": 1, "n": 1},
        {"loss": "a", "loss.a.k": 2, "n": 0}, {"loss": "a", "loss.a.k": 2, "n": 1},
        {"loss": "b", "n": 0}, {"loss": "b", "n": 1},
    ]  # fmt: skip
    with pytest.raises(ValueError, match=r"lr, loss\.focal\.gamma: a continuous range has no grid"):
        Space(NESTED).grid()


GOOD = {
    "model": "a",
    "lr": 0.001,
    "loss": {"_name": "focal", "gamma": 2, "weights": {"_name": "none"}},
    "steps": [],
    "flag": True,
    "size": "48x36",
    "depth": 3,
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "aa"}, "model: 'aa' is not an option; did you mean a?"),
        ({"lr": 1}, "lr: 1 is not from 0.0001 to 0.01"),
        ({"lr": "x"}, "lr: 'x' is not a number"),
        ({"depth": 2.5}, "depth: 2.5 is not on the step"),
        ({"depth": 6}, "depth: 6 is not from 2 to 5"),
        ({"flag": 1}, "flag: 1 is not an option"),
        ({"loss": "focal"}, "loss.focal.gamma is missing; loss.focal.weights is missing"),
        ({"loss": {"_name": "plain", "gamma": 2}}, "loss.plain.gamma is not in the search space; did you mean loss.focal.gamma?"),
        ({"loss": {"_name": "focl", "gamma": 2}}, "loss: 'focl' is not an option; did you mean focal?"),
        ({"sizes": 3}, "sizes is not in the search space; did you mean size?"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named_and_not_clipped(change, message):
    space = Space(NESTED)
    space.params(GOOD)
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        space.params({**GOOD, **change})
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({}, "the search space is empty"),
        ({"a": spec("choice")}, "a: the choice is empty"),
        ({"a": spec("loguniform", 0, 1)}, "a: "),
        ({"a": spec("choice", {"_name": "x"}, {"p": 1})}, "a: if one option has a _name, all need one"),
        ({"a": spec("choice", {"_name": "x"}, {"_name": "x", "p": spec("uniform", 0, 1)})}, "a: two options are 'x'"),
        ({"a": spec("choice", {"_name": "x", "b": spec("uniform", 0, 1)}), "a.x.b": spec("uniform", 0, 1)}, "a.x.b: two parameters"),
        ({"a": spec("unifrom", 0, 1)}, "a: unknown _type 'unifrom'"),
        ({"a": {"_type": "uniform"}}, "a: "),
        ({"a": spec("qloguniform", 1, 1e9, 0.5)}, "a: 1999999999 steps are too many; leave the step out (loguniform)"),
    ],
)  # fmt: skip
def test_spaces_that_cannot_be(space, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        Space(space)
    assert str(caught.value).startswith(message)


def test_image_sizes_of_one_area_are_told_apart():
    space = Space({"size": spec("choice", "128x96", "96x128", "64x48")})
    rows = space.draw(np.random.default_rng(0), 60)
    assert {space.at(row)["size"] for row in rows} == {"128x96", "96x128", "64x48"}
    assert space.positions({"size": "128x96"}) != space.positions({"size": "96x128"})


def test_rounded_lognormal_ranges_are_drawn_as_lognormal():
    space = Space({"n": spec("qlognormal", 0, 1, 1)})
    drawn = np.array([space.at(row)["n"] for row in space.draw(np.random.default_rng(0), 4000)])
    true = np.round(np.exp(np.random.default_rng(1).normal(size=4000)))
    for value in range(4):
        assert np.mean(drawn == value) == pytest.approx(np.mean(true == value), abs=0.03)


@pytest.mark.parametrize("values", [(0.05, 0.5, 0.05), (0.1, 1, 0.1), (1, 10, 1), (0.3, 2.2, 0.7)])
def test_a_value_that_was_tried_and_one_that_is_drawn_are_the_same_to_the_last_bit(values):
    space = Space({"n": spec("quniform", *values)})
    for row in space.draw(np.random.default_rng(0), 50):
        assert space.positions(space.at(row)).tobytes() == row.tobytes()
