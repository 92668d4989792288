"""Importance and effects, on searches whose truth is known."""

import numpy as np
import optuna
import pandas as pd
import pytest
from optuna.importance import PedAnovaImportanceEvaluator

from analysis.__main__ import app
from analysis.trust import attribution
from analysis.trust.attribution import attribute
from tests.analysis.fake_experiment import finished, make_experiment, record
from tests.conftest import TINY, call

NOISE = 0.02


def search(trials: int, seed: int = 0) -> tuple[pd.DataFrame, pd.Series]:
    """Recipes drawn at random. The network gives +.06 with b; focal +.03 at gamma 2, the mean of its range, less
    towards the ends; the learning rate has its best at 1e-3; weight_decay does nothing."""
    random = np.random.default_rng(seed)
    loss = random.choice(["cross_entropy", "focal"], trials)
    values = pd.DataFrame(
        {
            "model": random.choice(["a", "b"], trials, p=[0.7, 0.3]),
            "learning_rate": 10 ** random.uniform(-4, -2, trials),
            "weight_decay": 10 ** random.uniform(-5, -1, trials),
            "loss": loss,
            "loss.gamma": np.where(loss == "focal", random.uniform(1, 3, trials), np.nan),
            "batch_size": random.choice([16, 32, 64], trials),
            "seed": 0,
        }
    )
    scores = 0.5 + 0.06 * (values["model"] == "b") - 0.1 * (np.log10(values["learning_rate"]) + 3) ** 2
    scores += np.where(loss == "focal", 0.03 - 0.03 * (values["loss.gamma"] - 2) ** 2, 0)
    return values, scores + random.normal(0, NOISE, trials)


@pytest.mark.slow
def test_importance_finds_what_decides_and_marks_what_does_not(monkeypatch):
    monkeypatch.setattr(attribution, "RESAMPLES", 20)
    found = {one.name: one for one in attribute(*search(100)).importance}
    assert found.keys() == {"model", "learning_rate", "weight_decay", "loss", "loss.gamma", "batch_size"}
    assert sum(one.value for one in found.values()) == pytest.approx(1)
    assert all(0 <= one.low <= one.value <= one.high <= 1 for one in found.values())
    assert max(found.values(), key=lambda one: one.value).name in ("learning_rate", "model")
    assert {name for name, one in found.items() if one.by_chance} >= {"weight_decay", "batch_size"}
    assert not found["learning_rate"].by_chance and not found["model"].by_chance
    again = {one.name: one for one in attribute(*search(100)).importance}
    assert again == found, "the same seed gives the same intervals"


@pytest.mark.filterwarnings("ignore")
def test_importance_is_that_of_optuna():
    values, scores = search(40)
    columns, _ = attribution._columns(values)
    trials = attribution._trials(columns, scores.to_numpy(), np.arange(40))
    study = optuna.create_study(direction="maximize")
    study.add_trials(trials)
    theirs = PedAnovaImportanceEvaluator(target_quantile=attribution.BEST).evaluate(study)
    assert dict(zip(columns, attribution._divergences(trials, list(columns)), strict=True)) == theirs


@pytest.mark.slow
def test_an_effect_is_the_true_one_within_its_margin():
    """Over 60 searches: nested and continuous parameters, and one that does nothing."""
    covered: dict[str, list[bool]] = {}
    for seed in range(60):
        values, scores = search(60, seed)
        columns, notes = attribution._columns(values)
        effects, _ = attribution._effects(columns, scores, ())
        assert notes == []
        for one in effects:
            if one.name in ("model", "loss", "weight_decay", "batch_size"):
                true = {"model": 0.06, "loss": 0.02}.get(one.name, 0.0)  # .03 - .03 * variance of gamma, 1/3
                true *= -1 if one.value in ("a", "cross_entropy") else 1
                covered.setdefault(one.name, []).append(abs(one.effect - true) <= one.margin)
    share = {name: np.mean(inside) for name, inside in covered.items()}
    assert share.keys() == {"model", "loss", "weight_decay", "batch_size"}
    assert all(fraction >= 0.87 for fraction in share.values()), share
    assert np.mean([one for inside in covered.values() for one in inside]) <= 0.99


def test_effects_are_said_in_words():
    values, scores = search(60)
    by_name = {one.name: one for one in attribution._effects(attribution._columns(values)[0], scores, ())[0]}
    model = by_name["model"]
    assert str(model).startswith("model b instead of a: +0.0")
    assert model.trials == ((values["model"] == "b").sum(), (values["model"] == "a").sum())
    assert f"({model.trials[0]} and {model.trials[1]} trials)" in str(model)
    assert not model.contains_zero and by_name["weight_decay"].contains_zero
    low, high = np.quantile(values["weight_decay"], (0.25, 0.75))
    assert by_name["weight_decay"].what.startswith("weight_decay ")
    assert float(by_name["weight_decay"].value) == pytest.approx(high, rel=0.1)
    assert float(by_name["weight_decay"].other) == pytest.approx(low, rel=0.1)


def test_too_few_trials_say_nothing():
    found = attribute(*search(12))
    assert found.importance == () and found.effects == ()
    assert found.notes == (
        "importance: too few trials to say (12 finished, 20 are needed)",
        "effects: too few trials to say (12 finished, 21 are needed for these parameters)",
    )
    assert attribute(pd.DataFrame({"seed": [0, 0]}), pd.Series([0.1, 0.2])).notes == ("nothing was searched",)
    assert attribute(pd.DataFrame(), pd.Series(dtype=float)).n_trials == 0


def test_parameters_that_were_never_apart_have_no_effect_of_their_own():
    values, scores = search(60)
    values["weights"] = values["batch_size"].map({16: "package", 32: "hub", 64: "hub"})
    values["twin"] = values["model"].map({"a": "x", "b": "y"})
    columns, notes = attribution._columns(values)
    assert notes == [
        "weights is decided by batch_size: it has no effect of its own",
        "twin is decided by model: it has no effect of its own",
    ]
    assert "weights" not in columns and "twin" not in columns
    for which in range(3):  # exactly one of them is on
        values[f"step{which}"] = np.where(np.arange(60) % 3 == which, "on", "off")
    effects, notes = attribution._effects(attribution._columns(values)[0], scores, ())
    assert not {"step0", "step1", "step2"} & {one.name for one in effects}
    assert "model" in {one.name for one in effects}
    assert notes == ("step0 on, step1 on, step2 on: never tried apart from other parameters",)


def test_the_command_reads_an_experiment(tmp_path):
    space = {
        "seed": {"_type": "choice", "_value": [0, 1]},
        "optimizer": {"_type": "choice", "_value": ["adam", "adamw"]},
    }
    folder = make_experiment(tmp_path / "abc", space)
    random = np.random.default_rng(0)
    for number in range(24):
        own = {"seed": int(random.integers(2)), "optimizer": str(random.choice(["adam", "adamw"]))}
        score = 0.4 + 0.2 * (own["optimizer"] == "adam") + random.normal(0, 0.02)
        finished(record(folder, f"t{number}", own), {**TINY, **own}, score)
    said = call(app, "importance", folder)
    assert said.exit_code == 0
    assert "importance for the macro-F1 of 24 finished trials\n  optimizer: " in said.stdout
    assert (
        "optimizer adam instead of adamw: +0." in said.stdout
        or "optimizer adamw instead of adam: -0." in said.stdout
    )
    assert any(
        line.startswith("  seed ") and line.endswith("not significantly different from none")
        for line in said.stdout.splitlines()
    )


def test_values_of_one_or_two_trials_are_named_as_too_few():
    values, scores = search(60)
    values["optimizer"] = ["adamw"] * 30 + ["sgd"] * 27 + ["lion"] * 2 + ["adan"]
    columns, _ = attribution._columns(values)
    effects, notes = attribution._effects(columns, scores, ())
    assert {one.value for one in effects if one.name == "optimizer"} == {"sgd"}
    assert (
        "effects of optimizer lion (2), optimizer adan (1): too few trials to say (3 with the value are needed)"
        in notes
    )


@pytest.mark.parametrize("kind", ["str", "object", "float"])
def test_a_parameter_that_no_finished_trial_has_says_nothing(kind):
    """pandas compares the empty rest of a column of texts with nothing but texts."""
    values, _scores = search(60)
    values["loss.gamma"] = pd.Series([None] * 60, dtype=kind)
    columns, _ = attribution._columns(values)
    assert "loss.gamma" not in columns and "model" in columns
    assert attribution.as_numbers(values["loss.gamma"]).isna().all()


def test_a_value_that_most_trials_have_is_not_compared_with_itself():
    random = np.random.default_rng(0)
    mixup = np.where(np.arange(60) % 4 > 0, 0.3, random.uniform(0, 1, 60).round(2))
    values = pd.DataFrame({"mixup": mixup, "learning_rate": random.uniform(0, 1, 60)})
    found = attribute(values, pd.Series(random.uniform(0, 1, 60)))
    assert [one.name for one in found.effects] == ["learning_rate"]
