"""What earlier versions wrote and what people typed for them is still read."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.ensemble import ensemble
from analysis.predict.trained import predict
from analysis.recipes import read_recipe
from analysis.trials.table import mispaired
from common.errors import UsageError
from common.machine import PROJECT
from dataset.face_masks.drawing.synthetic import draw
from dataset.read import read_eval
from experiments.plan import read_plan
from tests.analysis.fake_run import untrained
from trial.commands.arguments import parse_arguments
from trial.config import parse
from trial.run_folder.record import RunFolder

RUN = Path(__file__).parent / "fixtures" / "run_of_first_version"
PREDICTIONS = RUN.with_suffix(".csv")  # by the version that trained the run, on people drawn as below


@pytest.mark.slow
def test_a_run_folder_predicts_what_it_predicted(tmp_path):
    photos = read_eval(draw(tmp_path / "set", people=30))
    before = pd.read_csv(PREDICTIONS).set_index("ImageID").loc[photos["photo"]]
    now = predict(RUN, photos)
    assert np.allclose(now, before.filter(regex=r"^p\d\d$"), atol=1e-5)


@pytest.mark.slow
def test_a_run_folder_votes_with_one_of_today(tmp_path):
    people = draw(tmp_path / "set", people=30, height=64, width=48)
    today = untrained(tmp_path / "today").folder
    assert (today / "task.json").exists() and not (RUN / "task.json").exists()
    path = ensemble([RUN, today], people, tmp_path / "out")
    photos = read_eval(people)
    wanted = (predict(RUN, photos) + predict(today, photos)).argmax(1)
    assert list(pd.read_csv(path)["ans"]) == list(wanted)


def test_a_run_folders_config_is_read_with_todays_names():
    config = RunFolder(RUN).config()
    assert config.train_fraction == 0.9
    assert (config.sampler.name, config.copies.name) == ("class_balanced", "baseline")
    assert config.augment.name == "flip+color_jitter+random_resized_crop+random_erasing"
    erasing = dict(config.augment.steps[-1].choice.params)
    assert (erasing["min_area"], erasing["max_area"]) == (0.05, 0.2)
    assert parse(json.loads(json.dumps(config.to_json())), present=False) == config


def test_a_run_folder_was_trained_for_macro_f1():
    run = RunFolder(RUN)
    assert (run.config().metric, run.config().patience_on) == ("macro_f1", "score")
    status = run.status()
    assert (status["metric"], status["score"]) == ("macro_f1", status["macro_f1"])


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ({"patience_on": "macro_f1"}, {"patience_on": "score"}),
        ({"augment": "seed"}, {"augment": "baseline"}),
        ({"augment": "seed_strong"}, {"augment": "baseline_strong"}),
        ({"augment": ["jitter", "crop"]}, {"augment": ["color_jitter", "random_resized_crop"]}),
        (
            {"augment": {"_name": "winners", "erasing.most": 0.2}},
            {"augment": {"_name": "winners", "random_erasing.max_area": 0.2}},
        ),
        ({"copies": {"_name": "seed", "sets": 1}}, {"copies": {"_name": "baseline", "sets": 1}}),
        ({"sampler": "each_once"}, {"sampler": "uniform"}),
        (
            {"sampler": {"_name": "by_class", "power": 0.5}},
            {"sampler": {"_name": "class_balanced", "power": 0.5}},
        ),
        (
            {"loss": {"_name": "weighted", "weights": "one_minus_frequency"}},
            {"loss": {"_name": "weighted", "class_weights": "one_minus_frequency"}},
        ),
        ({"train_share": 0.5}, {"train_fraction": 0.5}),
        ({"head": {"_name": "three", "dropout": 0.5}}, {"head": {"_name": "factors", "dropout": 0.5}}),
        ({"mixing": {"_name": "mixup_oldest", "p": 0.3}}, {"mixing": {"_name": "mixup_rare", "p": 0.3}}),
    ],
)
def test_earlier_names_are_read_as_todays(before, now):
    assert parse(before, present=False) == parse(now, present=False)


def test_earlier_fields_are_read_from_the_command_line_and_the_tuner():
    values = parse_arguments(["train_share=0.5"], {"sampler": "by_class"})
    assert parse(values, present=False).train_fraction == 0.5
    with pytest.raises(UsageError, match="train_fraction is given by both"):
        parse_arguments(["train_share=0.5"], {"train_fraction": 0.2})


def test_a_trial_that_ran_an_earlier_field_is_what_nni_recorded():
    config = parse({"train_fraction": 0.5}, present=False)
    assert mispaired(config, {"train_share": 0.5}) == []
    assert mispaired(config, {"train_share": 0.6}) == ["train_fraction"]


def test_set_replaces_a_field_by_either_name():
    plan, _ = read_plan(PROJECT / "experiments" / "loss.yaml")
    for first, then in (("train_share", "train_fraction"), ("train_fraction", "train_share")):
        fixed = plan.with_settings([f"{first}=0.5"]).with_settings([f"{then}=0.6"]).fixed
        assert [word for word in fixed if word.startswith("train")] == [f"{then}=0.6"]
        space = plan.space | {first: {"_type": "uniform", "_value": [0.1, 1]}}
        assert first not in replace(plan, space=space).with_settings([f"{then}=0.6"]).space


@pytest.mark.parametrize(
    "values",
    [
        {"train_share": 0.5, "train_fraction": 0.6},
        {"loss": {"_name": "weighted", "weights": "inverse", "class_weights": "inverse"}},
        {"augment": [{"_name": "erasing", "least": 0.02, "min_area": 0.05}]},
        {"augment": {"_name": "winners", "erasing.p": 0.3, "random_erasing.p": 0.4}},
        {"augment": {"_name": "winners", "erasing.most": 0.3, "erasing.max_area": 0.4}},
    ],
)
def test_an_earlier_name_beside_todays_is_refused(values):
    with pytest.raises(UsageError, match=r"twice, by (its|an) earlier name too"):
        parse(values, present=False)


def test_earlier_files_are_found():
    earlier, now = (
        read_recipe(PROJECT / "recipes" / f"{name}_resnet34.json") for name in ("seed", "baseline")
    )
    assert earlier.recipe == now.recipe
    yamls = [PROJECT / "experiments" / f"{name}_models.yaml" for name in ("seed", "baseline")]
    earlier, now = (read_plan(path)[0] for path in yamls)
    assert earlier.space == now.space
