import pytest
import torch
from safetensors.torch import load_file

from common.errors import UsageError
from dataset.face_masks.labels import FACE_MASK
from dataset.read import read_train
from tests.conftest import TINY
from tests.trial.training import training_of
from trial.config import parse
from trial.features import _fingerprint
from trial.fit import fit
from trial.models.features import Backbone
from trial.recipe import build
from trial.run_folder.record import RunFolder, RunWriter

torch.set_num_threads(1)  # tests run side by side
MODEL = "test_resnet+test_efficientnet+test_vit"
CONFIG = parse({**TINY, "model": MODEL, "epochs": 4})
PHOTOS = torch.randint(0, 256, (4, 32, 32, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def test_logits_are_one_layer_on_those_of_all_members_and_each_member_learns():
    network, preprocessing = build(CONFIG, FACE_MASK)
    seen = []
    for member in network.members:
        member.register_forward_hook(lambda *call: seen.append(call[2]))
    logits = network(preprocessing.normalise(PHOTOS))
    assert [tuple(one.shape) for one in seen] == [(4, 18)] * 3
    assert torch.allclose(logits, network.last(torch.cat(seen, 1).clamp(min=0)))
    logits.square().sum().backward()
    for member in network.members:
        first = next(p for p in member.parameters() if p.dim() > 1)
        assert first.grad.abs().sum() > 0


def test_features_of_the_members_stand_side_by_side():
    """The last layer sees what each member alone would give its own last layer."""
    names = ["tf_efficientnet_lite0", "vit_tiny_patch16_224"]
    config = parse({**TINY, "model": "+".join(names), "join": "features", "weights": "package+none"})
    network, preprocessing = build(config, FACE_MASK)
    photos = preprocessing.normalise(PHOTOS)
    joined = Backbone(network.eval())(photos)
    assert torch.allclose(network.last(joined), network(photos))
    start = 0
    for number, name in enumerate(names):
        alone, own = build(parse({**TINY, "model": name}), FACE_MASK)
        missing, left_over = alone.load_state_dict(network.members[number].state_dict(), strict=False)
        assert not left_over
        assert {key.partition(".")[0] for key in missing} <= {"classifier", "head"}  # its last layer alone
        expected = Backbone(alone.eval())(own.normalise(PHOTOS))
        part = joined[:, start : start + expected.shape[1]]
        assert torch.allclose(part, expected, atol=1e-4)
        start += expected.shape[1]
    assert start == joined.shape[1]


def test_each_network_takes_its_own_source_of_weights():
    values = {**TINY, "model": "tf_efficientnet_lite0+test_resnet", "weights": "package+none"}
    network, _ = build(parse(values), FACE_MASK)
    alone, _ = build(parse({**TINY, "model": "tf_efficientnet_lite0", "weights": "package"}), FACE_MASK)
    assert torch.equal(network.members[0].conv_stem.weight, alone.conv_stem.weight)


def test_joined_features_of_a_network_with_two_last_layers_are_refused():
    values = {**TINY, "model": "deit_tiny_distilled_patch16_224+test_resnet", "join": "features"}
    with pytest.raises(UsageError, match=r"ends in 2 layers.*choose another model"):
        build(parse(values), FACE_MASK)


def test_each_member_gets_photos_with_its_own_mean_and_deviation():
    names = ["resnet10t", "vit_tiny_patch16_224", "resnet18"]  # a ViT's are halves
    config = parse({**TINY, "model": "+".join(names)})
    network, preprocessing = build(config, FACE_MASK)
    assert len({tuple(member.pretrained_cfg["mean"]) for member in network.members}) == 2
    assert preprocessing == build(parse({**TINY, "model": names[0]}), FACE_MASK)[1]
    seen = []
    for member in network.members:
        member.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    network(preprocessing.normalise(PHOTOS))
    for name, photos in zip(names, seen, strict=True):
        own = build(parse({**TINY, "model": name}), FACE_MASK)[1]
        assert torch.allclose(photos, own.normalise(PHOTOS), atol=1e-5)
        assert photos.is_contiguous(memory_format=torch.channels_last)


def test_members_that_differ_in_the_scale_of_their_photos_only_are_told_apart_by_their_features():
    """They have the same tensors, and their scales are buffers that are not saved."""
    config = parse({**TINY, "model": "test_resnet+test_resnet", "join": "features"})
    one, other = (build(config, FACE_MASK)[0] for _ in range(2))
    other.load_state_dict(one.state_dict())
    assert _fingerprint(one) == _fingerprint(other)
    other.shift += 0.1
    assert _fingerprint(one) != _fingerprint(other)


@pytest.mark.parametrize("head", ["classes", "factors"])
@pytest.mark.parametrize("model", [MODEL, "test_resnet+test_resnet"])
def test_what_a_run_keeps_gives_the_same_logits_again(model, head, tmp_path):
    config = parse({**TINY, "model": model, "head": {"_name": head, "dropout": 0.2}})
    network, preprocessing = build(config, FACE_MASK)
    RunWriter(tmp_path / "run", config).weights(network.state_dict())
    run = RunFolder(tmp_path / "run")
    again, same = build(run.config(), FACE_MASK)
    again.load_state_dict(load_file(run.weights_files()[0]))
    photos = preprocessing.normalise(PHOTOS)
    logits = network.eval()(photos)
    assert same == preprocessing
    assert logits.shape == (4, 18)
    assert torch.equal(again.eval()(photos), logits)
    if head == "factors":
        assert torch.allclose(logits.exp().sum(1), torch.ones(4))


@pytest.mark.slow
def test_it_is_trained_like_any_other(people):
    table = read_train(people).table
    epochs = list(fit(training_of(CONFIG, table)))
    assert epochs[-1].train_loss < epochs[0].train_loss - 0.2


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"model": "resnet18+resnet43"}, "unknown model 'resnet43'; did you mean resnet34"),
        ({"model": "resnet18+"}, "unknown model ''"),
        ({"model": "resnet18+vgg11", "image_size": "24x24"}, "vgg11 needs at least 32"),
        ({"model": "resnet18+vit_tiny_patch16_224", "image_size": "40x40"}, "multiples of 16"),
        ({"model": "resnet18+tf_efficientnet_lite0", "weights": "package"}, "no package for resnet18"),
        ({"model": "resnet18+deepvit", "weights": "hub"}, "deepvit has no pretrained weights"),
        ({"model": "resnet18+resnet34", "weights": "none+none+none"}, "3 sources for 2 networks"),
        ({"model": "resnet18", "weights": "none+none"}, "2 sources for 1 network"),
        ({"model": "resnet18+resnet34", "weights": __file__}, "is one file for resnet18, resnet34"),
    ],
)
def test_a_member_that_can_not_be_is_refused_in_words(values, words):
    with pytest.raises(UsageError, match=words):
        parse({**TINY, **values})
