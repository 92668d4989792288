import pytest

from experiments.checks.space import covering, each_value, space_errors, values_of, without

C = "choice"


def spec(kind, *values):
    return {"_type": kind, "_value": list(values)}


FOCAL = {"_name": "focal", "gamma": spec("uniform", 1, 3)}
SPACE = {
    "model": spec(C, "a", "b", "c"),
    "size": spec(C, 1, 2),
    "loss": spec(C, {"_name": "plain"}, FOCAL),
    "lr": spec("loguniform", 0.001, 0.1),
}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ([], "is not a mapping"),
        ({"lr": 0.1}, "has no _type and _value"),
        ({"lr": spec("loguniformly", 1, 2)}, "did you mean loguniform?"),
        ({"lr": {"_type": C, "_value": [1], "value": 3}}, "did you mean _value?"),
        ({"lr": spec("uniform", "1e-4", "1e-2")}, "lr: '1e-4' is text, not a number; write 0.0001"),
        ({"lr": spec("uniform", 2, 1)}, "lr: uniform from 2 to 1 is empty"),
        ({"lr": spec("loguniform", 0, 1)}, "must start above 0"),
        ({"lr": spec("quniform", 0, 1, 0)}, "step of quniform must be above 0"),
        ({"lr": spec("uniform", 1)}, "uniform takes 2 numbers, not 1"),
        ({"loss": spec(C)}, "not a list with something in it"),
        ({"loss": spec(C, "plain", FOCAL)}, "all need one: 'plain' is"),
        ({"loss": spec(C, {"_name": "focal", "gamma": 2})}, "loss.focal.gamma: 2 has no _type"),
        ({"loss": spec(C, {"gamma": spec("uniform", 1, 3)})}, "has no _name: which option is it?"),
        ({"loss": spec(C, {"_name": "focal"}, FOCAL)}, "loss: two options are 'focal'"),
        ({"loss": spec(C, "focal", "plain", "focal")}, "loss: two options are 'focal'"),
        ({"lr": spec(C, 1, 1.0)}, "lr: two options are 1"),
        (
            {"loss": spec(C, {"_name": "focal", "gamma": spec(C)})},
            "loss.focal.gamma: _value [] is not a list",
        ),
        ({"lr": spec("loguniform", -1, 1)}, "must start above 0"),
        (
            {"model": spec(C, {"_name": "a", "train_share": spec(C, 1), "train_fraction": spec(C, 1)})},
            "train_fraction is given twice inside model=a, by its earlier name too",
        ),
    ],
)
def test_every_mistake_is_named(wrong, said):
    assert said in "\n".join(space_errors(wrong))


def test_all_mistakes_at_once():
    wrong = {"a": 1, "b": spec("uniform", "1e-4", 1), "c": spec("choise", 1), "d": spec("uniform", 2, 1)}
    assert [error[0] for error in space_errors(wrong)] == list("abcd")
    assert space_errors(SPACE) == []


def test_every_value_and_every_pair_of_choices_is_covered():
    points = list(covering(SPACE))
    pairs = {(p["model"], p["size"]) for p in points}
    assert len(pairs) == 6
    assert {(p["model"], p["loss"]["_name"]) for p in points} >= {("c", "focal"), ("b", "plain")}
    assert {p["loss"]["gamma"] for p in points if "gamma" in p["loss"]} == {1, 3, 1.76}
    assert {0.001, 0.1} <= {p["lr"] for p in points}


def test_few_points_hold_each_value():
    points = list(each_value(values_of(SPACE)))
    assert [point["model"] for point in points] == ["a", "b", "c", "a"]
    assert [point["size"] for point in points] == [1, 2, 1, 2]
    assert [point["loss"].get("gamma") for point in points] == [None, 1.76, 1, 3]
    assert {point["lr"] for point in points} >= {0.001, 0.1}


def test_inside_of_a_step_range_lies_on_its_steps():
    assert [p["n"] for p in covering({"n": spec("quniform", 2, 10, 2)})] == [6, 2, 10]
    assert [p["n"] for p in covering({"n": spec("randint", 2, 4)})] == [2, 3]
    assert [p["n"] for p in covering({"n": spec("qnormal", 10.5, 2, 1)})] == [10]
    assert [p["n"] for p in covering({"n": spec("qlognormal", 2, 1, 2)})] == [8]


def test_an_empty_space_is_one_point():
    assert list(covering({})) == list(each_value(values_of({}))) == [{}]


def test_a_fixed_field_is_searched_no_longer():
    carried = {
        "model": spec(C, {"_name": "a", "weights": spec(C, "package")}, {"_name": "b"}),
        "lr": SPACE["lr"],
    }
    assert without(carried, "weights")["model"] == spec(C, {"_name": "a"}, {"_name": "b"})
    assert without(carried, "lr").keys() == {"model"}
    assert without(SPACE, "weights") == SPACE
    earlier = {"model": spec(C, {"_name": "a", "train_share": spec(C, 1)}, {"_name": "b"})}
    assert without(earlier, "train_fraction")["model"] == spec(C, {"_name": "a"}, {"_name": "b"})
