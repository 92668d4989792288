import json

import pytest

from common.machine import shipped
from tuners.spaces.default_point import default_point


def spec(kind, *values):
    return {"_type": kind, "_value": list(values)}


@pytest.mark.parametrize(
    ("given", "middle"),
    [
        (spec("choice", "b", "a"), "b"),
        (spec("choice", 0, 1), 0),
        (spec("uniform", 0, 3), 1.5),
        (spec("quniform", 0, 10, 4), 4),
        (spec("quniform", 3, 4, 10), 3),
        (spec("loguniform", 0.0001, 0.01), pytest.approx(0.001)),
        (spec("qloguniform", 1, 64, 4), 8),
        (spec("randint", 2, 6), 4),
        (spec("randint", 2, 3), 2),
        (spec("normal", 5, 1), 5),
        (spec("qnormal", 5.2, 1, 2), 6),
        (spec("lognormal", 0, 1), 1.0),
    ],
)
def test_first_option_or_middle(given, middle):
    assert default_point({"x": given}) == {"x": middle}


def test_an_option_brings_its_own_numbers():
    focal = {"_name": "focal", "gamma": spec("uniform", 1, 3), "deeper": spec("choice", {"_name": "a"})}
    point = default_point({"loss": spec("choice", focal, {"_name": "cross_entropy"})})
    assert point == {"loss": {"_name": "focal", "gamma": 2, "deeper": {"_name": "a"}}}


def test_a_stated_default_replaces_the_rule():
    space = {"lr": spec("loguniform", 0.0001, 0.01), "model": spec("choice", "a", "b")}
    assert default_point(space, {"model": "b"})["model"] == "b"
    with pytest.raises(ValueError, match="modle"):
        default_point(space, {"modle": "b"})
    with pytest.raises(ValueError, match=r"default: model='c' is not an option .* \['a', 'b'\]"):
        default_point(space, {"model": "c"})


def test_a_stated_default_of_an_option_with_parameters():
    focal = {"_name": "focal", "gamma": spec("uniform", 1, 3), "smooth": spec("choice", 0, 1)}
    space = {"loss": spec("choice", {"_name": "cross_entropy"}, focal)}
    whole = {"_name": "focal", "gamma": 2, "smooth": 0}
    assert default_point(space, {"loss": "focal"}) == {"loss": whole}
    assert default_point(space, {"loss": {"_name": "focal", "gamma": 1.5}}) == {
        "loss": whole | {"gamma": 1.5}
    }
    with pytest.raises(ValueError, match="default: gama not in the search space"):
        default_point(space, {"loss": {"_name": "focal", "gama": 1.5}})


@pytest.mark.parametrize("path", shipped("search_spaces", "*.json"), ids=lambda p: p.stem)
def test_every_shipped_space_has_a_default(path):
    space = json.loads(path.read_text())
    assert default_point(space).keys() == space.keys()
