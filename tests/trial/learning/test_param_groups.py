import itertools

import pytest
import torch
from timm.optim import param_groups_layer_decay

from dataset.face_masks.labels import FACE_MASK
from dataset.read import read_train
from tests.conftest import TINY
from tests.trial.training import training_of
from trial import recipe
from trial.config import parse
from trial.learning import param_groups
from trial.learning.optimizers import OPTIMIZERS

torch.set_num_threads(1)  # tests run side by side
JOINT = "test_resnet+test_efficientnet"


def built(**values):
    torch.manual_seed(0)
    config = parse({**TINY, "optimizer": "adamw", "weight_decay": 0.01, "learning_rate": 0.01, **values})
    return recipe.build(config, FACE_MASK)[0], config


def test_a_layer_moves_so_much_less_for_each_layer_above_it():
    network, config = built(optimizer={"_name": "sgd", "momentum": 0}, weight_decay=0.0, layer_decay=0.5)
    before = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    optimizer = config.optimizer.build(OPTIMIZERS, param_groups.param_groups(network, 0.5, 0.0), 0.1, 0.0)
    for group in optimizer.param_groups:
        group["lr"] = 0.1 * group["lr_scale"]
    network.train()(torch.rand(8, 3, 32, 32)).square().sum().backward()
    optimizer.step()
    for name, parameter in network.named_parameters():
        top = {"fc": 0, "layer4": 1, "layer3": 2, "layer2": 3, "layer1": 4}.get(name.partition(".")[0], 5)
        moved = before[name] - parameter.detach()
        assert torch.allclose(moved, 0.1 * 0.5**top * parameter.grad, atol=1e-6, rtol=1e-3), name


@pytest.mark.parametrize("decay", [1.0, 0.7])
@pytest.mark.parametrize("model", ["test_vit", JOINT, "googlenet"])
def test_every_parameter_is_in_one_group(model, decay):
    network, _ = built(model=model)
    found = [p for group in param_groups.param_groups(network, decay, 0.1) for p in group["params"]]
    assert len(found) == len({id(p) for p in found}) == len(list(network.parameters()))


@pytest.mark.parametrize("model", ["resnet18", "test_vit", "test_efficientnet"])
def test_with_layer_decay_the_groups_are_timms(model):
    network, _ = built(model=model)
    own = param_groups.param_groups(network, 0.7, 0.05)
    excluded = network.no_weight_decay() if hasattr(network, "no_weight_decay") else ()
    timms = param_groups_layer_decay(network, 0.05, no_weight_decay_list=excluded, layer_decay=0.7)
    assert settings_of(network, own) == settings_of(network, timms)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["convnext_atto", "vgg11"])
def test_what_lies_between_the_body_and_the_head_is_a_layer_of_its_own(model):
    """timm counts it with the head, which alone begins with new weights."""
    network, _ = built(model=model)
    own = settings_of(network, param_groups.param_groups(network, 0.7, 0.05))
    timms = settings_of(network, param_groups_layer_decay(network, 0.05, layer_decay=0.7))
    for name, (scale, weight_decay) in timms.items():
        ratio = 1 if name.startswith("head.fc") else 0.7
        assert own[name] == (pytest.approx(scale * ratio), weight_decay), name


def settings_of(network, groups) -> dict[str, tuple[float, float]]:
    """{parameter's name: (lr_scale, weight_decay)}."""
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    return {
        names[id(p)]: (group["lr_scale"], group["weight_decay"]) for group in groups for p in group["params"]
    }


@pytest.mark.parametrize("model", ["test_vit", JOINT, "test_vit+test_vit", "googlenet"])
def test_with_layer_decay_the_head_learns_at_full_rate_and_norms_biases_and_positions_do_not_decay(model):
    network, _ = built(model=model)
    settings = settings_of(network, param_groups.param_groups(network, 0.7, 0.05))
    head = {name for name, depth in param_groups.depths(network).items() if depth == 0}
    assert head and {settings[name][0] for name in head} == {1.0}
    assert {scale for name, (scale, _) in settings.items() if name not in head} <= {
        0.7**n for n in range(1, 60)
    }
    for name, parameter in network.named_parameters():
        plain = parameter.dim() > 1 and not name.endswith(("pos_embed", "cls_token", "reg_token"))
        assert settings[name][1] == (0.05 if plain else 0.0), name


@pytest.mark.parametrize("model", ["resnet18", "resnet34", "test_vit", "test_efficientnet"])
def test_the_stem_learns_as_stem_decay_says_whatever_the_depth(model):
    network, _ = built(model=model)
    groups = param_groups.param_groups(network, 1.0, 0.05, stem_decay=0.1)
    scales = sorted({group["lr_scale"] for group in groups})
    assert (scales[0], scales[-1]) == (pytest.approx(0.1), 1.0)
    steps = [low / high for low, high in itertools.pairwise(scales)]
    assert steps == pytest.approx([steps[0]] * len(steps))  # evenly from layer to layer
    same = param_groups.param_groups(network, steps[0], 0.05)
    assert settings_of(network, groups) == {
        name: (pytest.approx(scale), decay) for name, (scale, decay) in settings_of(network, same).items()
    }


@pytest.mark.parametrize("join", ["logits", "features"])
def test_the_stem_of_each_member_of_a_joint_network_learns_as_stem_decay_says(join):
    network, _ = built(model="test_resnet+resnet34", join=join)
    scales = settings_of(network, param_groups.param_groups(network, 1.0, 0.05, stem_decay=0.1))
    for number, layers in enumerate((5, 17)):
        own = [scale for name, (scale, _) in scales.items() if name.startswith(f"members.{number}.")]
        assert min(own) == pytest.approx(0.1)
        assert max(own) == (1 if join == "logits" else pytest.approx(0.1 ** (1 / layers)))
        assert len(set(own) - {1.0}) == layers
    assert scales["last.weight"] == (1.0, 0.05)
    assert scales["last.bias"] == (1.0, 0.0)


def test_stem_decay_of_a_recipe_reaches_the_optimizer(people):
    config = parse({**TINY, "stem_decay": 0.1})
    training = training_of(config, read_train(people).table.head(8))
    scales = [group["lr_scale"] for group in training.learner.optimizer.param_groups]
    assert (min(scales), max(scales)) == (pytest.approx(0.1), 1.0)


def test_without_layer_decay_all_parameters_are_one_group_with_the_optimizers_weight_decay():
    network, _ = built(model=JOINT)
    (group,) = param_groups.param_groups(network, 1.0, 0.05)
    assert group.keys() == {"params", "lr_scale"}


@pytest.mark.parametrize(
    ("model", "from_above"),
    [
        ("resnet18", ["fc.bias", "layer4.1.bn2.weight", "layer4.0.conv1.weight", "layer1.0.conv1.weight", "conv1.weight"]),
        ("vgg11", ["head.fc.weight", "pre_logits.fc1.weight", "features.18.weight", "features.0.weight"]),
        ("densenet121", ["classifier.bias", "features.denseblock4.denselayer16.conv2.weight", "features.denseblock1.denselayer1.conv1.weight", "features.conv0.weight"]),
        ("vit_tiny_patch16_224", ["head.weight", "blocks.11.attn.qkv.weight", "blocks.0.attn.qkv.weight", "pos_embed"]),
        ("efficientnet_b0", ["classifier.weight", "conv_head.weight", "blocks.5.0.conv_pw.weight", "blocks.0.0.conv_dw.weight", "conv_stem.weight"]),
        ("alexnet", ["classifier.6.weight", "classifier.4.weight", "classifier.1.weight", "features.10.weight", "features.0.weight"]),
        ("googlenet", ["fc.weight", "inception5b.branch1.conv.weight", "inception4e.branch1.conv.weight", "inception3a.branch1.conv.weight", "conv1.conv.weight"]),
        ("caformer_s18", ["head.fc.fc2.weight", "stages.3.blocks.2.mlp.fc2.weight", "stages.0.blocks.0.mlp.fc1.weight", "stem.conv.weight"]),
        ("deepvit", ["mlp_head.1.weight", "transformer.layers.15.0.to_qkv.weight", "transformer.layers.0.0.to_qkv.weight", "pos_embedding"]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("coarse", [False, True])
def test_layers_are_counted_from_the_head_down(model, from_above, coarse):
    with torch.device("meta"):
        network, _ = built(model=model, image_size="64x64")
    depths = param_groups.depths(network, coarse)
    found = [depths[name] for name in from_above]
    assert found[0] == 0
    assert found == sorted(found)
    assert found[1] > 0
    assert found[-1] == max(depths.values())
    assert depths.keys() == dict(network.named_parameters()).keys()
