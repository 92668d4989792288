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
from trial.compute import decide
from trial.config import parse
from trial.features import AsTheyAre, Features, features_of
from trial.fit import fit
from trial.learning import inits
from trial.learning.inits import Target, chosen, lda, lda_cv
from trial.models.features import Backbone, Probe
from trial.models.heads import input_shape, last_layer
from trial.record import RunFolder, RunWriter
from trial.run import run

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


def test_a_whole_run_predicts_as_it_was_validated(people, table, tmp_path):
    """The run folder is as any other: its network sees photos, and gives what the probe gave for features."""
    folder, scores = trained(people, tmp_path / "run")
    validation = folder.validation()
    photos = table[table["photo"].isin(validation["photo"])].reset_index(drop=True)
    expected = validation.set_index("photo").loc[photos["photo"], [f"p{n:02d}" for n in range(18)]]
    assert np.allclose(predict(tmp_path / "run", photos), expected.to_numpy(), atol=1e-4)
    assert len(scores) == 3
    assert max(scores) > 0.05


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


def test_it_learns_and_the_backbone_stays(people, tmp_path):
    from safetensors.torch import load_file

    network, _, _ = built()
    trained(people, tmp_path / "run", ema=0.9)
    saved, before = load_file(tmp_path / "run" / "weights.safetensors"), network.state_dict()
    changed = {name for name in before if not torch.equal(before[name], saved[name])}
    assert changed == {"classifier.weight", "classifier.bias"}


def test_the_same_curve_twice_and_from_the_cache(people, tmp_path, monkeypatch):
    monkeypatch.setattr(features.arrays, "CACHE", tmp_path / "cache")
    first, _ = trained(people, tmp_path / "one", cache_limit=1)
    assert [path.name.partition("-")[0] for path in (tmp_path / "cache").glob("*.npy")] == ["features"]
    monkeypatch.setattr(features, "infer", None)  # nothing is computed again
    second, _ = trained(people, tmp_path / "two", cache_limit=1)
    same = [folder.epochs().drop(columns="seconds") for folder in (first, second)]
    pd.testing.assert_frame_equal(*same)


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


def test_lda_is_scikit_learns():
    random = np.random.default_rng(0)
    means = random.normal(size=(3, 5))
    values = random.integers(3, size=300)
    points = means[values] + random.normal(size=(300, 5))
    theirs = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit(points, values)
    weight, bias = lda()(points, [Target(values, 3)], EACH)
    logits = points @ weight.T + bias
    logits -= logits.max(1, keepdims=True)
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert np.allclose(probabilities, theirs.predict_proba(points), atol=1e-8)


@pytest.mark.filterwarnings("ignore:Only one sample available")
@pytest.mark.parametrize(
    "values", [[0] * 12, [0] * 11 + [1], range(12)], ids=["one", "lonely", "each its own"]
)
def test_lda_takes_few_photos_of_a_value(values):
    """As in a short trial on few groups of a set with many classes."""
    points = np.random.default_rng(0).normal(size=(12, 5)).astype(np.float32)
    weight, bias = lda(shrinkage=0.3)(points, [Target(np.array(values), 14)], EACH)
    assert (points @ weight.T + bias).argmax(1).tolist() == list(values)


def test_lda_of_two_factors_one_value_of_which_has_no_photo():
    random = np.random.default_rng(0)
    values = np.stack([random.integers(2, size=200), random.integers(2, size=200)], 1)
    points = values @ np.array([[4.0, 0, 0], [0, 4, 0]]) + random.normal(size=(200, 3))
    weight, bias = lda(temperature=2)(points, [Target(values[:, 0], 2), Target(values[:, 1], 3)], EACH)
    assert weight.shape == (5, 3)
    logits = points @ weight.T + bias
    assert (logits[:, :2].argmax(1) == values[:, 0]).mean() > 0.95
    assert (logits[:, 2:].argmax(1) == values[:, 1]).mean() > 0.95, "the third value is not predicted"


def test_balance_favours_what_is_rare():
    random = np.random.default_rng(0)
    values = (random.random(500) < 0.1).astype(int)
    points = values[:, None] + random.normal(size=(500, 2))
    rare = []
    for balance in (0.0, 1.0):
        weight, bias = lda(balance=balance)(points, [Target(values, 2)], EACH)
        rare.append(((points @ weight.T + bias).argmax(1) == 1).mean())
    assert rare[0] < rare[1]


EACH = np.empty(0)  # groups, which only lda_cv looks at


def bands_of(weight, bias, points, subclasses):
    """(N, bands) probabilities."""
    outputs = torch.from_numpy(points @ weight.T + bias).softmax(1)
    return outputs.unflatten(1, (-1, subclasses)).sum(2).numpy()


def test_subclasses_of_few_numbers_without_smoothing_are_a_discriminant_of_each_number():
    """Two numbers in each band, as frequent as each other, and a kernel too narrow for two numbers: the
    posteriors of four values, summed in pairs."""
    random = np.random.default_rng(0)
    numbers = np.tile([20, 29, 30, 40], 50)
    points = np.stack([np.sin(numbers / 5), numbers / 20], 1) + random.normal(size=(200, 2))
    values = (numbers >= 30).astype(int)
    found = lda(shrinkage=0.1, smoothing=0.01)(points, [Target(values, 2, 2, numbers)], EACH)
    theirs = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.1).fit(points, numbers)
    expected = theirs.predict_proba(points).reshape(-1, 2, 2).sum(2)
    assert np.allclose(bands_of(*found, points, 2), expected, atol=1e-8)


def test_a_smoothed_band_borrows_from_numbers_near_it():
    """Of the last band one photo is known, an outlier: its mean is drawn towards the numbers before."""
    random = np.random.default_rng(0)
    numbers = np.append(random.integers(20, 60, size=200), 60)
    points = numbers[:, None] / 10 + random.normal(scale=0.5, size=(201, 1))
    points[-1] = 2.0  # as that of a 20-year-old
    values = np.searchsorted([30, 60], numbers, side="right")
    old = np.array([[6.0]])
    plain = bands_of(*lda(shrinkage=0)(points, [Target(values, 3)], EACH), old, 1)
    smoothed = bands_of(*lda(shrinkage=0)(points, [Target(values, 3, 4, numbers)], EACH), old, 4)
    assert smoothed[0, 2] > 3 * plain[0, 2]


def test_subclasses_take_bands_without_a_photo_and_numbers_far_apart():
    numbers = np.array([1, 1, 1, 1, 1, 1, 1, 1, 1, 1000])
    points = numbers[:, None] + np.random.default_rng(0).normal(size=(10, 3))
    target = Target((numbers > 500) * 2, 4, 3, numbers)
    weight, bias = lda(shrinkage=0.3, smoothing=0.01)(points, [target], EACH)
    assert weight.shape == (12, 3)
    assert bands_of(weight, bias, points, 3).argmax(1).tolist() == [0] * 9 + [2]
    same = np.full(10, 7)
    assert np.isfinite(lda(shrinkage=0.3)(points, [Target(same * 0, 3, 2, same)], EACH)[0]).all()


def some_photos(noise: int, groups: int, photos: int):
    """(features (N, 2 + noise), target, groups (N,)): photos of a group are all but the same."""
    random = np.random.default_rng(0)
    values, group = random.integers(2, size=groups), np.repeat(np.arange(groups), photos)
    own = random.normal(size=(groups, 2 + noise))
    own[:, 0] += 2 * values
    features = own[group] + random.normal(scale=0.01, size=(len(group), 2 + noise))
    return features.astype(np.float32), Target(values[group], 2), group


def test_shrinkage_is_chosen_on_groups_held_out():
    """With many features the covariance of few groups is noise; photos of a known group would hide that."""
    features, target, groups = some_photos(noise=60, groups=100, photos=3)
    assert chosen(features, target, groups, 0, 0.4) >= 0.5
    assert chosen(features, target, np.arange(len(groups)), 0, 0.4) <= 0.1


def test_each_factor_has_its_own_shrinkage(monkeypatch):
    features, target, groups = some_photos(noise=3, groups=40, photos=2)
    targets, own = [target, Target(groups % 3, 3)], {2: 0.7, 3: 0.1}
    monkeypatch.setattr(inits, "chosen", lambda features, target, *rest: own[target.size])
    weight, bias = lda_cv(balance=0.3, temperature=2)(features, targets, groups)
    for rows, one in ((slice(0, 2), targets[0]), (slice(2, 5), targets[1])):
        fixed = lda(shrinkage=own[one.size], balance=0.3, temperature=2)(features, [one], groups)
        assert np.allclose(weight[rows], fixed[0])
        assert np.allclose(bias[rows], fixed[1])


def test_one_group_has_an_estimated_shrinkage():
    features, target, groups = some_photos(noise=3, groups=8, photos=2)
    found = lda_cv()(features, [target], np.zeros_like(groups))
    assert all(map(np.allclose, found, lda()(features, [target], groups)))


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
    weight, bias = lda()(doubled, [Target(label, 18)], EACH)
    assert np.allclose(last_layer(network).weight.detach(), weight, rtol=1e-3, atol=1e-3)
    assert np.allclose(last_layer(network).bias.detach(), bias, rtol=1e-3, atol=1e-3)


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


def test_training_goes_on_from_the_discriminant(people, tmp_path):
    """All layers are trained, from a network that knows the classes already."""
    values = {"features": "none", "learning_rate": 1e-9, "epochs": 1, "init": "lda", "freeze": "batch_norm"}
    _, (plain,) = trained(people, tmp_path / "plain", **{**values, "init": "random"})
    _, (fitted,) = trained(people, tmp_path / "fitted", **values)
    assert fitted > plain + 0.1


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


def test_freeze_backbone_goes_with_it():
    assert parse({**PROBE, "freeze": "backbone", "epochs": 1}).features.name == "cached"
