import os

import pytest

from analysis.trials import table
from analysis.trials.flatten import flat, flat_alike
from analysis.trials.ranking import rank
from analysis.trials.table import Experiment, find, mispaired, trial_table
from common.errors import UsageError
from tests.analysis.fake_experiment import finished, make_experiment, record
from tests.conftest import TINY
from trial.config import parse

SPACE = {
    "learning_rate": {"_type": "loguniform", "_value": [0.001, 0.1]},
    "loss": {"_type": "choice", "_value": [{"_name": "cross_entropy"}, {"_name": "focal"}]},
}


@pytest.fixture
def experiment(tmp_path):
    folder = make_experiment(tmp_path / "abc", SPACE)
    scores = {"a": 0.3, "b": 0.5, "c": 0.5, "d": 0.4}
    for number, (trial, macro_f1) in enumerate(scores.items(), start=1):
        given = {"learning_rate": number / 100, "loss": {"_name": "focal", "gamma": float(number)}}
        finished(record(folder, trial, given), {**TINY, **given}, macro_f1)
    return Experiment("abc", "tiny", folder)


def test_a_row_a_trial_with_its_recipe_flat(experiment):
    table = trial_table(experiment)
    assert list(table["trial"]) == ["a", "b", "c", "d"]
    assert list(table["state"]) == ["done"] * 4
    assert list(table["loss.gamma"]) == [1.0, 2.0, 3.0, 4.0]
    assert set(table.attrs["searched"]) == {"learning_rate", "loss", "loss.gamma"}
    assert list(table["epochs_done"]) == [2] * 4


@pytest.mark.parametrize(
    ("augment", "told"),
    [
        ("winners", {"augment": "winners"}),
        (
            {"_name": "winners", "random_erasing.p": 0.25},
            {"augment": "winners", "augment.random_erasing.p": 0.25},
        ),
        (["random_erasing"], {"augment": "random_erasing"}),
        (
            [{"_name": "random_erasing", "p": 0.25}],
            {"augment": "random_erasing", "augment.random_erasing.p": 0.25},
        ),
        (["flip", {"_name": "flip", "p": 0}], {"augment": "flip+flip", "augment.flip#2.p": 0}),
        ([{"_name": "MedianBlur", "p": 0.1}], {"augment": "MedianBlur", "augment.MedianBlur.p": 0.1}),
        ({"_name": "none", "steps": ["random_erasing"]}, {"augment": "random_erasing"}),
    ],
)
def test_policies_that_differ_can_be_told_apart(augment, told):
    row = flat(parse({**TINY, "augment": augment}))
    assert {name: value for name, value in row.items() if name.startswith("augment")} == told


def test_a_number_that_one_policy_changes_is_told_of_all_that_have_it():
    policies = ["winners", {"_name": "winners", "random_erasing.p": 0.25}, "light", ["random_erasing"]]
    rows = flat_alike([parse({**TINY, "augment": policy}) for policy in policies])
    assert [row.get("augment.random_erasing.p") for row in rows] == [0.5, 0.25, None, 0.5]
    assert not any("augment.flip.p" in row for row in rows)


def test_the_best_is_chosen_by_the_stated_rule(experiment):
    ranking = rank(trial_table(experiment))
    assert list(ranking.ranked["trial"]) == ["b", "c", "d", "a"]
    assert list(ranking.best(top=2)["trial"]) == ["b", "c"]
    assert ranking.first["trial"] == "b"
    assert ranking.default["trial"] == "a"
    assert ranking.median["trial"] == "d"


def test_a_trial_that_ran_other_values_than_recorded_is_not_ranked(experiment):
    given = {"learning_rate": 0.05, "loss": "cross_entropy"}
    finished(record(experiment.folder, "e", given), {**TINY, **given, "learning_rate": 0.06}, 0.9)
    table = trial_table(experiment)
    assert table.iloc[4]["state"] == "mismatch"
    assert "learning_rate" in table.iloc[4]["reason"]
    assert "e" not in set(rank(table).ranked["trial"])


def test_a_nested_model_with_its_weights_agrees_with_what_ran():
    config = parse(
        {**TINY, "model": {"_name": "test_resnet", "weights": "none"}, "weights": None}
        | {"weights": "none", "model": "test_resnet"}
    )
    assert mispaired(config, {"model": {"_name": "test_resnet", "weights": "none"}}) == []
    assert mispaired(config, {"model": {"_name": "test_vit", "weights": "none"}}) != []


def test_a_field_inside_a_nested_model_may_have_its_earlier_name():
    config = parse({"model": "resnet18", "train_fraction": 0.5}, present=False)
    recorded = {"model": {"_name": "resnet18", "train_share": 0.5}}
    assert mispaired(config, recorded) == []
    assert mispaired(config, recorded | {"learning_rate": "1e-4"}) != []
    recorded["model"]["train_share"] = 0.6
    assert mispaired(config, recorded) == ["train_fraction"]
    assert "given twice" in mispaired(config, recorded | {"train_fraction": 0.6})[0]


def test_columns_that_the_space_varies_by_earlier_names_or_inside_a_model_are_searched(tmp_path):
    def choice(*values):
        return {"_type": "choice", "_value": list(values)}

    small = {"_name": "test_resnet", "weights": choice("none"), "batch_size": choice(16)}
    large = {"_name": "test_vit", "weights": choice("none"), "batch_size": choice(8)}
    folder = make_experiment(tmp_path / "x", {"train_share": choice(0.5, 1.0), "model": choice(small, large)})
    for trial, share, model, size in (("a", 0.5, "test_resnet", 16), ("b", 1.0, "test_vit", 8)):
        carried = {"weights": "none", "batch_size": size}
        given = {"train_share": share, "model": {"_name": model, **carried}}
        values = {**TINY, "train_share": share, "model": model, **carried}
        finished(record(folder, trial, given, "SUCCEEDED"), values, 0.5)
    table = trial_table(Experiment("x", "", folder))
    assert table["state"].tolist() == ["done", "done"]
    assert {"train_fraction", "model", "batch_size"} == set(table.attrs["searched"])


def test_a_nested_parameter_that_one_trial_has_so_far_is_searched_if_the_space_varies_it(tmp_path):
    gamma = {"_type": "uniform", "_value": [1, 3]}
    only = {"_type": "choice", "_value": ["inverse"]}
    options = [{"_name": "focal", "gamma": gamma}, {"_name": "weighted", "class_weights": only}]
    folder = make_experiment(tmp_path / "x", {"loss": {"_type": "choice", "_value": options}})
    for trial, loss in (
        ("a", {"_name": "focal", "gamma": 2.0}),
        ("b", {"_name": "weighted", "class_weights": "inverse"}),
    ):
        finished(record(folder, trial, {"loss": loss}), {**TINY, "loss": loss}, 0.5)
    table = trial_table(Experiment("x", "", folder))
    assert set(table.attrs["searched"]) == {"loss", "loss.gamma"}


def test_stopped_failed_and_waiting_trials_are_told_apart(experiment):
    given = {"learning_rate": 0.05, "loss": "cross_entropy"}
    values = {**TINY, **given}
    finished(record(experiment.folder, "s", given, "EARLY_STOPPED"), values, 0.8, "stopped_early")
    finished(record(experiment.folder, "late", given, "EARLY_STOPPED"), values, 0.45)
    finished(record(experiment.folder, "f", given, "FAILED"), values, 0.9, "failed")
    record(experiment.folder, "gone", given, "FAILED")
    record(experiment.folder, "w", given, "WAITING")
    table = trial_table(experiment).set_index("trial")
    assert dict(table["state"][4:]) == {
        "s": "stopped_early", "late": "done", "f": "failed", "gone": "failed", "w": "waiting",
    }  # fmt: skip
    assert table.loc["s", "macro_f1"] == 0.8
    assert rank(table.reset_index()).best()["trial"].item() == "b"


def test_too_few_or_no_finished_trials_are_refused_in_words(experiment, tmp_path):
    ranking = rank(trial_table(experiment))
    with pytest.raises(UsageError, match="there are 4 finished trials"):
        ranking.best(top=5)
    with pytest.raises(UsageError, match=r"no finished trial of model=resnet34; .*test_resnet"):
        ranking.best(model="resnet34")
    assert len(ranking.best(model="test_resnet")) == 1
    empty = make_experiment(tmp_path / "empty", SPACE)
    record(empty, "a", {}, "WAITING")
    with pytest.raises(UsageError, match="no finished trial to choose from"):
        rank(trial_table(Experiment("empty", "", empty))).best()


def test_an_experiment_is_found_by_id_folder_name_or_latest(tmp_path):
    for number, (name, id) in enumerate([("loss", "aaa"), ("models", "bbb"), ("loss", "ccc")]):
        folder = make_experiment(tmp_path / id, SPACE, name)
        os.utime(folder / "db" / "nni.sqlite", (number, number))
    assert find("bbb", tmp_path).name == "models"
    assert find(str(tmp_path / "aaa"), tmp_path).id == "aaa"
    assert find("loss", tmp_path).id == find("experiments/loss.yaml", tmp_path).id == "ccc"
    assert find("latest", tmp_path).id == "ccc"
    with pytest.raises(UsageError, match="did you mean models"):
        find("model", tmp_path)
    with pytest.raises(UsageError, match="holds none yet"):
        find("latest", tmp_path / "nothing")
    for root in (tmp_path, tmp_path / "nothing"):  # is not told to start its first experiment
        with pytest.raises(UsageError, match="is a folder, but not an experiment's; for runs in it"):
            find(str(tmp_path), root)


RAN = {
    "model": "test_resnet", "weights": "none", "patience": 1, "loss": {"_name": "focal", "gamma": 2.0},
    "augment": "light", "optimizer": {"_name": "sgd"}, "learning_rate": 0.01, "image_size": "64x48",
}  # fmt: skip
AGREEING = (
    {},
    {"loss": "focal", "optimizer": "sgd", "augment": "light"},
    {"loss": {"gamma": 2, "_name": "focal"}, "patience": 1.0},
    {"optimizer": {"_name": "sgd", "nesterov": True}, "image_size": [64, 48]},
    {"augment": {"_name": "light"}},
    {"model": {"_name": "test_resnet", "weights": "none"}, "learning_rate": 0.01},
)
DIFFERING = (
    ({"loss": "cross_entropy"}, "loss"),
    ({"loss": {"_name": "focal", "gamma": 2.0000001}}, "loss"),
    ({"learning_rate": 0.010000001, "loss": "focal"}, "learning_rate"),
    ({"augment": [{"_name": "flip", "p": 0.5}]}, "augment"),
    ({"augment": "baseline", "image_size": "48x64"}, "image_size"),
    ({"patience": True}, "patience"),
    ({"optimizer": {"_name": "sgd", "momentum": 0.9, "nesterov": 1}}, "nesterov"),
    ({"optimizer": {"_name": "sgd", "momentum": 0.8}}, "optimizer"),
    ({"model": {"_name": "test_resnet", "weights": "hub"}}, "weights"),
    ({"model": {"_name": "resnet18", "weights": "none"}}, "model"),
    ({"model": {"_name": "test_resnet", "weights": "none"}, "weights": "none"}, "given twice"),
    ({"gamma": 2.0}, "gamma"),
)


def both_ways(parameters: dict, monkeypatch) -> list[str]:
    """`mispaired`, the same with its shortcut and without."""
    config = parse(RAN, present=False)
    found = table.mispaired(config, parameters)
    monkeypatch.setattr(table, "_plainly_agree", lambda ran, parameters: False)
    assert found == table.mispaired(config, parameters)
    return found


@pytest.mark.parametrize("parameters", AGREEING)
def test_what_agrees_is_seen_without_a_second_parse(parameters, monkeypatch):
    assert table._plainly_agree(parse(RAN, present=False).to_json(), parameters)
    assert both_ways(parameters, monkeypatch) == []


@pytest.mark.parametrize(("parameters", "named"), DIFFERING)
def test_no_difference_escapes_the_shortcut(parameters, named, monkeypatch):
    assert named in " ".join(both_ways(parameters, monkeypatch))
