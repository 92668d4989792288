"""Training the last layer alone, on cached features, and what the last layer starts from."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from analysis.predict.trained import predict
from common.errors import UsageError
from dataset.face_masks.labels import FACE_MASK
from dataset.read import read_train
from dataset.task import Task
from tests.conftest import TINY
from trial import features, recipe
from trial.config import effect_errors, parse
from trial.features import AsTheyAre, Features, features_of
from trial.fit import fit
from trial.learning.inits import Target, lda
from trial.models.features import Backbone, Probe
from trial.models.heads import input_shape, last_layer
from trial.process.compute import decide
from trial.run import run
from trial.run_folder.record import RunFolder, RunWriter

PROBE = {
    **TINY, "model": "tf_efficientnet_lite0", "weights": "package", "epochs": 3, "features": "cached",
    "learning_rate": 0.01, "precision": "float32",
}  # fmt: skip


@pytest.fixture(scope="module")
def table(people):
    return read_train(people).table


def built(**values):
    config = parse({**PROBE, **values})
    torch.manual_seed(0)
    network, preprocessing = recipe.build(config, FACE_MASK)
    return network.eval(), preprocessing, decide(network, threads=1, precision="float32")


def trained(people, folder, **values):
    config = parse({**PROBE, "data": str(people), **values})
    reports = []
    run(config, RunWriter(folder, config), reports.append)
    return RunFolder(folder), [report.macro_f1 for report in reports]


@pytest.mark.parametrize("head", ["classes", "factors", "mlp"])
@pytest.mark.parametrize("model", ["tf_efficientnet_lite0", "test_resnet.r160_in1k", "mobilenetv3_small_050"])
def test_backbone_and_last_layer_are_the_network(head, model):
    weights = "package" if "lite0" in model else "none"
    network, _, _ = built(model=model, weights=weights, head=head)
    to_logits = parse({**PROBE, "head": head}).head.build(recipe.HEADS, FACE_MASK).to_logits
    images = torch.rand(3, 3, 32, 32)
    with torch.inference_mode():
        features = Backbone(network)(images)
        assert features.dim() == 2
        assert torch.allclose(Probe(network, to_logits)(features), network(images), atol=1e-5)


def test_a_network_with_two_last_layers_is_refused():
    network, _, _ = built(model="levit_128s", weights="none", image_size="224x224", features="none")
    with pytest.raises(UsageError, match="ends in 2 layers"):
        Probe(network, None)


@pytest.mark.slow
def test_a_whole_run_predicts_as_it_was_validated(people, table, tmp_path):
    """The run folder is as any other: its network sees photos, and gives what the probe gave for features."""
    folder, scores = trained(people, tmp_path / "run")
    validation = folder.validation()
    photos = table[table["photo"].isin(validation["photo"])].reset_index(drop=True)
    expected = validation.set_index("photo").loc[photos["photo"], [f"p{n:02d}" for n in range(18)]]
    assert np.allclose(predict(tmp_path / "run", photos), expected.to_numpy(), atol=1e-4)
    assert len(scores) == 3
    assert max(scores) > 0.05


@pytest.mark.slow
def test_a_hidden_layer_learns_what_one_layer_can_not():
    """Two classes, of which each is two opposite corners of a square."""
    random = np.random.default_rng(0)
    corners = random.integers(2, size=(400, 2))
    task, table = Task("corners", ("same", "different")), pd.DataFrame({"label": corners.sum(1) % 2})
    accuracy = {}
    for head in ("classes", "mlp"):
        config = parse({**PROBE, "model": "test_resnet", "weights": "none", "head": head, "epochs": 10})
        torch.manual_seed(0)
        network, preprocessing = recipe.build(config, task)
        found = np.zeros((400, 1, *input_shape(last_layer(network))), np.float32)
        found[:, 0, :2] = 2 * corners - 1 + random.normal(scale=0.2, size=(400, 2))
        start = recipe.Start(task, table, network, preprocessing, decide(network), None, "", found)
        *_, epoch = fit(recipe.training(config, start, network, table))
        accuracy[head] = epoch.train_accuracy
    assert accuracy["classes"] < 0.8
    assert accuracy["mlp"] > 0.95


@pytest.mark.slow
def test_a_run_with_a_hidden_layer_is_trained_saved_and_read_as_any_other(people, table, tmp_path):
    from safetensors.torch import load_file

    head = {"_name": "mlp", "hidden": 12, "dropout": 0.1}
    folder, _ = trained(people, tmp_path / "run", head=head, ema=0.9, mixing="mixup")
    network, _, _ = built(head=head)
    saved, before = load_file(tmp_path / "run" / "weights.safetensors"), network.state_dict()
    assert saved.keys() == before.keys()
    changed = {name for name in before if not torch.equal(before[name], saved[name])}
    layers = ("classifier.hidden", "classifier.outputs")
    assert changed == {f"{layer}.{what}" for layer in layers for what in ("weight", "bias")}
    validation = folder.validation()
    photos = table[table["photo"].isin(validation["photo"])].reset_index(drop=True)
    expected = validation.set_index("photo").loc[photos["photo"], [f"p{n:02d}" for n in range(18)]]
    assert np.allclose(predict(tmp_path / "run", photos), expected.to_numpy(), atol=1e-4)


@pytest.mark.slow
def test_it_learns_and_the_backbone_stays(people, tmp_path):
    from safetensors.torch import load_file

    network, _, _ = built()
    trained(people, tmp_path / "run", ema=0.9)
    saved, before = load_file(tmp_path / "run" / "weights.safetensors"), network.state_dict()
    changed = {name for name in before if not torch.equal(before[name], saved[name])}
    assert changed == {"classifier.weight", "classifier.bias"}


@pytest.mark.slow
def test_the_same_curve_twice_and_from_the_cache(people, tmp_path, monkeypatch):
    monkeypatch.setattr(features.arrays, "CACHE", tmp_path / "cache")
    first, _ = trained(people, tmp_path / "one", cache_limit=1)
    assert [path.name.partition("-")[0] for path in (tmp_path / "cache").glob("*.npy")] == ["features"]
    monkeypatch.setattr(features, "infer", None)  # nothing is computed again
    second, _ = trained(people, tmp_path / "two", cache_limit=1)
    same = [folder.epochs().drop(columns="seconds") for folder in (first, second)]
    pd.testing.assert_frame_equal(*same)


@pytest.mark.slow
def test_features_are_of_their_weights_views_and_size(table, tmp_path):
    def of(views="none", photos=table.head(6), **values):
        network, preprocessing, compute = built(**values)
        found = features_of(network, photos, preprocessing, compute, views, 1, tmp_path)
        return found, len(list(tmp_path.glob("*.npy")))

    plain, count = of()
    assert plain.shape == (6, 1, 1280)
    assert count == 1
    flipped, count = of("flip")
    assert flipped.shape == (6, 2, 1280)
    assert np.array_equal(flipped[:, :1], plain)
    assert not np.allclose(flipped[:, 1], plain[:, 0])
    assert count == 2
    assert of(weights="none")[1] == 3
    assert of(image_size="40x32")[1] == 4
    assert of()[1] == 4
    assert of(head="factors")[1] == 4, "the last layer is not a part of the backbone"
    assert of(head="mlp")[1] == 4, "nor is a hidden one"


@pytest.mark.parametrize("change", ["activation", "name"])
def test_networks_with_the_same_tensors_have_features_of_their_own(table, tmp_path, change):
    for changed in (False, True):
        network, preprocessing, compute = built(model="test_resnet", weights="none")
        if changed and change == "activation":
            network.act1 = torch.nn.Tanh()
        elif changed:  # of a network whose activation is not a module
            network.pretrained_cfg["architecture"] = "test_resnet_like"
        features_of(network, table.head(4), preprocessing, compute, "none", 1, tmp_path)
    assert len(list(tmp_path.glob("*.npy"))) == 2


@pytest.mark.parametrize("values", [{}, {"model": "test_resnet+tf_efficientnet_lite0", "join": "features"}])
def test_the_cache_can_hold_them_or_that_is_known_before(values):
    config = parse({**PROBE, "weights": "none", "cache_limit": 0.001, **values})
    network, _, _ = built(weights="none", **values)
    width = input_shape(last_layer(network)).numel()
    most = int(0.001 * 2**30 / (width * 2 * 4))
    assert recipe.features_errors(config, most) == []
    (message,) = recipe.features_errors(config, most + 1)
    assert message.startswith(f"features of {most + 1:,} photos in 2 views need 1.0 MiB: over the limit")
    assert recipe.features_errors(replace(config, cache_limit=0.0), 10**9) == [], "they are not kept"
    assert recipe.features_errors(parse({**PROBE, "features": "none"}), 10**9) == []


def test_features_over_the_limit_are_refused_with_their_size(table, tmp_path):
    network, preprocessing, compute = built()
    with pytest.raises(UsageError, match=r"features of 30 photos in 12 views need 1.8 MiB"):
        features_of(network, table.head(30), preprocessing, compute, "flip_crops", 0.001, tmp_path)


def test_an_epoch_takes_each_photo_in_one_of_its_views():
    table = pd.DataFrame({"label": [0, 1, 2, 3]}, index=[7, 3, 5, 1])
    stored = np.arange(8, dtype=np.float32)[:, None, None] + np.array([0, 100], np.float32)[:, None]
    shown = Features(table, stored, views=2, seed=1)
    batches = [shown.__getitems__([(epoch, row, 0) for row in range(4)]) for epoch in range(1, 30)]
    seen = torch.stack([batch.photos[:, 0] for batch in batches])
    assert (seen % 100).unique(dim=0).tolist() == [[7, 3, 5, 1]]
    assert 0.3 < (seen >= 100).float().mean() < 0.7
    again = shown.__getitems__([(5, row, 0) for row in range(4)])
    assert torch.equal(again.photos, batches[4].photos)
    assert AsTheyAre().normalise(again.photos) is again.photos


@pytest.mark.slow
@pytest.mark.parametrize("init", ["lda_cv", "random"])
def test_a_run_with_subclasses_is_trained_saved_and_read_as_any_other(people, table, tmp_path, init):
    values = {"init": init, "learning_rate": 0.01, "epochs": 1, "head": {"_name": "auto", "subclasses": 3}}
    folder, scores = trained(people, tmp_path / "run", **values)
    assert scores[0] > 0.05
    validation = folder.validation().set_index("photo")
    photos = table[table["photo"].isin(validation.index)]
    found = validation.loc[photos["photo"], [f"p{n:02d}" for n in range(18)]]
    assert np.allclose(predict(tmp_path / "run", photos), found, atol=1e-4)


def test_a_discriminant_is_fitted_to_all_views(people, table):
    config = parse({**PROBE, "model": "test_resnet", "weights": "none", "init": "lda"})
    network, preprocessing, compute = built(model="test_resnet", weights="none")
    photos = table.iloc[10:].copy()
    found = np.random.default_rng(0).normal(size=(len(table), 2, *input_shape(last_layer(network))))
    start = recipe.Start(FACE_MASK, table, network, preprocessing, compute, None, "", found)
    recipe.training(config, start, network, photos)
    doubled = np.concatenate([found[10:, 0], found[10:, 1]])
    label = np.tile(photos["label"].to_numpy(), 2)
    weight, bias = lda()(doubled, [Target(label, 18)], np.empty(0))
    assert np.allclose(last_layer(network).weight.detach(), weight, rtol=1e-3, atol=1e-3)
    assert np.allclose(last_layer(network).bias.detach(), bias, rtol=1e-3, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("head", ["classes", "factors"])
def test_with_a_rate_of_0_the_discriminant_is_what_is_validated(people, table, tmp_path, head):
    values = {"init": "lda", "learning_rate": 0, "epochs": 1, "head": head}
    folder, scores = trained(people, tmp_path / "run", **values)
    validation = folder.validation()
    network, preprocessing, compute = built(head=head)
    found = features_of(network, table, preprocessing, compute, "flip", 0).astype(float)
    held_out = table["photo"].isin(validation["photo"]).to_numpy()
    columns = list(FACE_MASK.factors) if head == "factors" else ["label"]
    label = 0
    for column in columns:
        fitted = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
        fitted.fit(found[~held_out].reshape(-1, found.shape[2]), table.loc[~held_out, column].repeat(2))
        size = len(FACE_MASK.factors[column]) if head == "factors" else 18
        label = label * size + fitted.predict(found[held_out, 0])
    order = table.loc[held_out, "photo"].to_numpy()
    ours = validation.set_index("photo").loc[order, [f"p{n:02d}" for n in range(18)]].to_numpy().argmax(1)
    assert (ours == label).mean() > 0.97
    assert scores[0] > 0.1


@pytest.mark.slow
def test_training_goes_on_from_the_discriminant(people, tmp_path):
    """All layers are trained, from a network that knows the classes already."""
    values = {"features": "none", "learning_rate": 1e-9, "epochs": 1, "init": "lda", "freeze": "batch_norm"}
    _, (plain,) = trained(people, tmp_path / "plain", **{**values, "init": "random"})
    _, (fitted,) = trained(people, tmp_path / "fitted", **values)
    assert fitted > plain + 0.1


@pytest.mark.slow
def test_several_networks_are_fitted_side_by_side(people, table, tmp_path):
    both = {"model": "test_resnet+tf_efficientnet_lite0", "weights": "none+package", "join": "features"}
    values = {"init": "lda", "learning_rate": 0, "epochs": 1}
    folder, scores = trained(people, tmp_path / "run", **both, **values)
    assert scores[0] > 0.1
    validation = folder.validation().set_index("photo")
    photos = table[table["photo"].isin(validation.index)]
    found = validation.loc[photos["photo"], [f"p{n:02d}" for n in range(18)]]
    assert np.allclose(predict(tmp_path / "run", photos), found, atol=1e-4)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"augment": "light"}, "augment=light: can't be used with features=cached"),
        ({"mixing": "cutmix"}, "mixing=cutmix: can't be used with features=cached"),
        ({"copies": "baseline"}, "copies=baseline: can't be used with features=cached"),
        ({"freeze": "gradual"}, "freeze=gradual: can't be used with features=cached"),
        ({"layer_decay": 0.7}, "layer_decay=0.7: can't be used with features=cached"),
        ({"stem_decay": 0.1}, "stem_decay=0.1: can't be used with features=cached"),
        ({"model": "tf_efficientnet_lite0+tf_efficientnet_lite1"}, "features=cached: needs one network"),
        ({"model": "tf_efficientnet_lite0+tf_efficientnet_lite1"}, "or join=features"),
        ({"features": {"_name": "cached", "views": "ten"}}, "features.views"),
        ({"init": "lda", "head": "mlp"}, "init=lda: fits one layer, not the two of head=mlp; choose another head"),
        ({"features": "none", "head": "mlp", "model": "resnet18+resnet34", "weights": "none"}, "head=mlp: needs one network"),
        ({"model": "levit_128s", "image_size": "224x224", "weights": "none"}, "features=cached: levit_128s ends in 2 layers"),
        ({"features": "none", "init": "lda", "model": "levit_128s", "image_size": "224x224", "weights": "none"}, "init=lda: levit_128s ends in 2 layers"),
        ({"features": "none", "join": "features", "model": "levit_128s+levit_128", "image_size": "224x224", "weights": "none"}, "join=features: levit_128 ends in 2 layers"),
        ({"learning_rate": 0}, "learning_rate=0: must be 1e-09 or more"),
        ({"features": "none", "init": "lda", "model": "resnet18+resnet34", "weights": "none"}, "init=lda: needs one"),
    ],
)  # fmt: skip
def test_what_features_can_not_do_is_refused(wrong, message):
    with pytest.raises(UsageError) as raised:
        parse({**PROBE, **wrong})
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("unused", "message"),
    [
        ({"freeze": {"_name": "backbone", "epochs": 7}}, "freeze.epochs=7: features=cached keeps all below"),
        ({"init": {"_name": "lda", "smoothing": 3}}, "init.smoothing=3: is used with head.subclasses only"),
        ({"join": "features"}, "join=features: tf_efficientnet_lite0 is one network"),
        ({"optimizer": "madgrad"}, "optimizer=madgrad: trains with learning_rate=0, too"),
        ({"optimizer": "madgradw"}, "optimizer=madgradw: trains with learning_rate=0, too"),
        ({"sampler": "class_balanced", "mixing": "mixup", "borders": "soft", "ema": 0.9, "head": {"dropout": 0.5}}, "sampler=class_balanced, mixing=mixup, borders=soft, head.dropout=0.5, ema=0.9: nothing is trained"),
    ],
)  # fmt: skip
def test_what_has_no_effect_is_refused(unused, message):
    untrained = {**PROBE, "init": "lda", "learning_rate": 0}
    with pytest.raises(UsageError) as raised:
        parse({**untrained, **unused})
    assert len(raised.value.errors) == 1 and message in str(raised.value)
    recorded = parse({**untrained, **unused}, present=False)
    assert effect_errors(recorded) == raised.value.errors, "what ran with them is read all the same"
    used = {"loss": "focal", "head": {"_name": "factors", "subclasses": 2}}
    assert parse({**untrained, **used, "init": {"_name": "lda_cv", "smoothing": 3}}).learning_rate == 0


def test_freeze_backbone_goes_with_it():
    assert parse({**PROBE, "freeze": "backbone", "epochs": 1}).features.name == "cached"
