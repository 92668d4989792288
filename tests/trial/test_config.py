import dataclasses
import json

import pytest

from common.errors import UsageError
from trial.commands.listing import choices
from trial.config import TrialConfig, parse

BASE = {"model": "resnet18", "weights": "none", "image_size": "64x48"}


def errors(**values) -> list[str]:
    with pytest.raises(UsageError) as caught:
        parse({**BASE, **values})
    return caught.value.errors


def test_a_config_is_frozen_and_comes_back_from_its_json():
    config = parse({**BASE, "loss": {"_name": "focal", "gamma": 3}, "augment": "light", "learning_rate": 1})
    assert parse(json.loads(json.dumps(config.to_json()))) == config
    assert config.image_size == (64, 48)
    assert config.learning_rate == 1.0
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.seed = 1  # type: ignore[misc]


def test_every_mistake_is_named_at_once_with_the_nearest_right_name():
    said = errors(model="resnet43", loss="focale", lossy="x", epochs=0, learning_rate="abc", augment="lite")
    text = "\n".join(said)
    assert len(said) == 6
    for word in ("resnet34", "focal", "lossy", "epochs: 0 is not 1 or more", "learning_rate", "light"):
        assert word in text


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"learning_rate": "1e-4"}, "'1e-4' is text, not a number; write 0.0001"),
        ({"learning_rate": 0}, "must be 1e-09 or more"),
        ({"learning_rate": 0, "init": "lda"}, "give features=cached, or freeze=batch_norm"),
        ({"image_size": [64.9, 48]}, "image_size=[64.9, 48]: must be height x width"),
        ({"batch_size": 1}, "1 is not 2 or more"),
        ({"batch_size": 8.5}, "not an integer"),
        ({"epochs": True}, "not an integer"),
        ({"train_fraction": 1.5}, "1.5 is not from 0.001 to 1"),
        ({"seed": 2**32}, "is not from 0 to 4294967295"),
        ({"fold": 5}, "fold=5: must be from 0 to 4 (folds=5), or all"),
        ({"fold": -1}, "fold=-1: must be from 0 to 4"),
        ({"image_size": "512"}, "height x width"),
        ({"image_size": "0x4"}, "height x width"),
        ({"image_size": "100000x4"}, "height x width"),
        ({"image_size": "8x8"}, "needs at least 16"),
        ({"model": "mixer_b16_224"}, "takes only 224x224"),
        ({"model": "resnet34.tv2_in1k"}, "did you mean tv_in1k"),
        ({"precision": "float16", "device": "cpu"}, "needs a GPU"),
        ({"precision": "fp16"}, "did you mean float16"),
        ({"fold": "al"}, "nor 'all'"),
        ({"fold_order": "one_by_one"}, "with fold=all only"),
        ({"schedule": {"_name": "cosine", "warmup": 20}}, "schedule.warmup=20: must be below epochs=20"),
        ({"freeze": {"_name": "backbone", "epochs": 20}}, "freeze.epochs=20: must be below epochs=20"),
        ({"freeze": {"_name": "gradual", "every": 20}}, "freeze.every=20: must be below epochs=20"),
        (
            {"augment": [{"_name": "random_erasing", "max_area": 0.01}]},
            "min_area=0.02 must not be above max_area=0.01",
        ),
        ({"loss": {"gamma": 2}}, "loss.gamma: is a parameter of which loss? give it too, such as loss=focal"),
        ({"mixing": {"_name": "cutmix_vertical", "low": 0.9, "high": 0.1}}, "must not be above mixing.high"),
        ({"head": {"_name": "factors", "dropout": 1}}, "1.0 is not from 0 to 0.95"),
        ({"dropout": 0.2}, "it is a parameter of a choice: head.dropout"),
        ({"warmup": 2}, "schedule.warmup"),
        ({"ema": 1}, "1.0 is not from 0 to"),
        ({"layer_decay": 0.8, "stem_decay": 0.1}, "layer_decay=0.8: can't be used with stem_decay=0.1"),
        ({"model": "resnet18+resnet43"}, "did you mean resnet"),
        (
            {"pixels": "device", "augment": ["GaussianBlur"]},
            "pixels=device: can't be used with augment=GaussianBlur",
        ),
        ({"pixels": "device", "copies": "baseline"}, "pixels=device: can't be used with copies=baseline"),
        ({"compile": "graphs", "accumulate": 2}, "compile=graphs: can't be used with accumulate=2"),
        ({"compile": "yes"}, "compile: 'yes' is not true or false, nor 'graphs'"),
        ({"pixels": "gpu"}, "pixels: unknown value 'gpu'"),
        ({"device": "gpu"}, "device=gpu: write device=cuda for a GPU"),
        ({"head": {"dropot": 0.3}}, "did you mean dropout"),
        ({"weight": "none"}, "did you mean weights"),
        ({"model": "resnet18,resnet34"}, "joined by"),
        ({"model": "resnext50"}, "did you mean resnext50_32x4d"),
        ({"mixing": "vertical_cutmix"}, "did you mean cutmix_vertical"),
        ({"augment": ["RandomErasing"]}, "did you mean random_erasing"),
        ({"tta": "flip"}, "--tta flip"),
        ({"loss": {"_name": "focal", "gama": 2}}, "did you mean gamma"),
        ({"loss": {"_name": "focal", "gamma": "high"}}, "loss.gamma"),
        ({"loss": {"_name": "weighted", "weights": "invers"}}, "did you mean inverse"),
        ({"augment": [{"_name": "flip", "p": 1.5}]}, "not a probability"),
        ({"augment": [{"_name": "flipp"}]}, "did you mean flip"),
        ({"augment": [{"_name": "GaussianBlur", "sigma": 1}]}, "unknown parameter 'sigma'"),
        ({"augment": [{"_name": "RandomCrop"}]}, "needs a value for height"),
        ({"augment": [{"_name": "RandomCrop", "height": 8, "width": 8}]}, "makes uint8"),
        ({"augment": [{"_name": "RandomRotate90", "p": 0.1}]}, "makes uint8 (48, 64, 3)"),
        ({"augment": [{"_name": "GaussianBlur", "blur_limit": -3}]}, "augment=GaussianBlur: "),
        ({"corrections": "nowhere.csv"}, "no such file"),
        ({"weights": "nowhere.safetensors"}, "no such file or folder"),
        ({"weights": "package"}, "no package for resnet18"),
    ],
)
def test_bad_values_are_refused_in_words(values, words):
    assert words in "\n".join(errors(**values))


def test_a_number_alone_is_the_default_choices_where_it_has_that_number():
    assert dict(parse({"head": {"dropout": 0.3}, "weights": "none"}).head.params) == {"dropout": 0.3}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"fold": "alll", "fold_order": "one_by_one"}, "fold"),
        ({"epochs": "x", "schedule": {"_name": "cosine", "warmup": 25}}, "epochs"),
        ({"mixing": "cutmx"}, "cutmix"),
    ],
)
def test_what_could_not_be_read_is_no_second_mistake(values, words):
    with pytest.raises(UsageError, match=words) as error:
        parse(values, present=False)
    assert len(error.value.errors) == 1


def test_missing_weights_are_refused_with_the_command_that_fetches_them(monkeypatch, tmp_path):
    monkeypatch.setattr("trial.models.weights.FETCHED", tmp_path)
    assert "python -m trial weights resnet18.a1_in1k" in "\n".join(errors(weights="hub"))
    assert "weights=package" in "\n".join(errors(model="tf_efficientnet_lite0", weights="hub"))
    (tmp_path / "resnet18.a1_in1k.safetensors").touch()
    assert parse({**BASE, "weights": "hub"}).weights == "hub"


def test_a_model_of_a_search_space_can_carry_its_weights():
    config = parse({"model": {"_name": "resnet18", "weights": "none"}, "image_size": "64x48"})
    assert (config.model, config.weights) == ("resnet18", "none")
    assert "weights is given twice" in "\n".join(errors(model={"_name": "resnet18", "weights": "none"}))


def test_the_defaults_of_a_choice_are_spelt_out():
    assert parse({}, present=False) == TrialConfig()
    loss = parse({**BASE, "loss": "weighted"}).to_json()["loss"]
    assert loss == {"_name": "weighted", "class_weights": "inverse"}
    steps = parse({**BASE, "augment": "light"}).to_json()["augment"]["steps"]
    assert steps[1] == {"_name": "shift_scale", "shift": 0.08, "scale": 0.08, "p": 1.0, "on": "batch"}


def test_a_policy_keeps_its_numbers_though_the_shipped_one_may_change():
    own = {"_name": "light", "steps": [{"_name": "flip", "p": 0.1, "on": "batch"}]}
    assert parse({**BASE, "augment": own}).to_json()["augment"] == own


def test_the_recipe_leaves_out_where_it_runs():
    recipe = parse({**BASE, "data": "elsewhere", "threads": 2}).recipe()
    assert not recipe.keys() & {"data", "out", "device", "workers", "threads"}
    assert parse(recipe).recipe() == recipe


def test_choices_are_those_that_parse():
    named = choices()
    for field in ("loss", "optimizer", "schedule", "augment"):
        for name in named[field]:
            assert str(getattr(parse({**BASE, field: name}), field)) == name
    assert {"resnet34", "tf_efficientnet_lite0"} <= set(named["model"])
    assert {"flip", "GaussianBlur", "CoarseDropout"} <= set(named["step"])
    assert set(named) - {"step"} <= {f.name for f in dataclasses.fields(TrialConfig)}
