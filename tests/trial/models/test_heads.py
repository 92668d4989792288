import copy
import math
from itertools import product

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from dataset.face_masks.labels import AGE_BANDS, FACE_MASK, GENDERS, MASKS
from dataset.read import read_train
from dataset.task import Task
from trial.augment.mixing import _targets
from trial.config import parse
from trial.data import batches
from trial.learning.losses import LOSSES
from trial.models.heads import HEADS, joint_logits, last_layers
from trial.recipe import build

torch.set_num_threads(1)  # tests run side by side
MASK, GENDER, AGE = map(torch.as_tensor, np.unravel_index(np.arange(FACE_MASK.n_classes), FACE_MASK.sizes))


def parts(batch: int = 6) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return (3 * torch.randn(batch, 8, dtype=torch.float64, generator=generator)).requires_grad_()


def test_three_heads_give_each_class_the_product_of_its_three_probabilities():
    mask, gender, age = (
        part.softmax(1) for part in parts().split((len(MASKS), len(GENDERS), len(AGE_BANDS)), 1)
    )
    product = mask[:, MASK] * gender[:, GENDER] * age[:, AGE]
    assert torch.allclose(joint_logits(parts(), FACE_MASK.sizes).softmax(1), product)
    assert torch.allclose(
        joint_logits(parts(), FACE_MASK.sizes).exp().sum(1), torch.ones(6, dtype=torch.float64)
    )


def test_a_band_with_subclasses_has_the_sum_of_their_probabilities():
    head = HEADS["factors"](FACE_MASK, subclasses=2)
    assert (head.outputs, head.subclasses) == (3 + 2 + 3 * 2, (1, 1, 2))
    outputs = torch.cat([parts(), parts()[:, 5:] + 1], 1)
    mask, gender, age = (part.softmax(1) for part in outputs.split((3, 2, 6), 1))
    age = torch.stack([age[:, 0] + age[:, 1], age[:, 2] + age[:, 3], age[:, 4] + age[:, 5]], 1)
    assert torch.allclose(head.to_logits(outputs).exp(), mask[:, MASK] * gender[:, GENDER] * age[:, AGE])


def test_cross_entropy_over_18_classes_is_the_sum_of_the_three():
    labels = torch.arange(6) * 3 + 1
    mask, gender, age = parts().split((3, 2, 3), 1)
    three = (
        F.cross_entropy(mask, MASK[labels])
        + F.cross_entropy(gender, GENDER[labels])
        + F.cross_entropy(age, AGE[labels])
    )
    assert torch.allclose(F.cross_entropy(joint_logits(parts(), FACE_MASK.sizes), labels), three)


@pytest.mark.parametrize("targets", ["mixed", "smoothed", "any"])
def test_so_it_is_with_probabilities_of_classes_as_targets(targets):
    labels = torch.arange(6) * 3 + 1
    probabilities = {
        "mixed": _targets(labels, torch.arange(6).roll(1), torch.full((6,), 0.3), 18).double(),
        "smoothed": F.one_hot(labels, 18).double() * 0.9 + 0.1 / 18,
        "any": torch.rand(6, 18, generator=torch.Generator().manual_seed(1)).double().softmax(1),
    }[targets]
    three = 0.0
    for logits, index, size in zip(parts().split((3, 2, 3), 1), (MASK, GENDER, AGE), (3, 2, 3), strict=True):
        of_part = torch.zeros(6, size, dtype=torch.float64).index_add(1, index, probabilities)
        three += F.cross_entropy(logits, of_part)
    assert torch.allclose(F.cross_entropy(joint_logits(parts(), FACE_MASK.sizes), probabilities), three)


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_teaches_each_of_the_three(loss):
    logits = parts()
    LOSSES[loss](torch.arange(1, 19))(
        joint_logits(logits, FACE_MASK.sizes).float(), torch.arange(6)
    ).backward()
    assert (logits.grad != 0).all()


def recipe(model: str, size: str = "32x32", **more):
    return parse({"model": model, "weights": "none", "image_size": size, **more})


@pytest.mark.parametrize(
    "model",
    [
        "resnet18", "vit_tiny_patch16_224", "alexnet", "mobilenetv3_large_100", "convnext_atto",
        "deit_tiny_distilled_patch16_224", "test_resnet+test_vit",
        *(
            pytest.param(model, marks=pytest.mark.slow)
            for model in (
                "efficientnet_b0", "vgg11", "densenet121", "googlenet", "deepvit", "mixer_s32_224",
            )
        ),
    ],
)  # fmt: skip
def test_what_goes_into_the_last_layer_is_dropped_in_training_and_only_then(model):
    size = {"alexnet": "64x64", "mixer_s32_224": "224x224"}.get(model, "32x32")
    network, _ = build(recipe(model, size, head={"_name": "classes", "dropout": 0.25}), FACE_MASK)
    layers = [layer for member in getattr(network, "members", [network]) for layer in last_layers(member)]
    seen = []
    for layer in layers:
        layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()), prepend=True)
        layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
    photos = torch.rand(8, 3, *parse({"image_size": size, "model": model, "weights": "none"}).image_size)
    network.train()(photos)
    for before, after in zip(seen[::2], seen[1::2], strict=True):
        dropped = (after == 0) & (before != 0)
        assert 0.15 < dropped.sum() / (before != 0).sum() < 0.35
        assert torch.allclose(after[~dropped], before[~dropped] / 0.75)
    seen.clear()
    network.eval()(photos)
    assert len(seen) == 2 * len(layers)
    assert all(torch.equal(before, after) for before, after in zip(seen[::2], seen[1::2], strict=True))


@pytest.mark.parametrize("head", [head for head in HEADS if head != "mlp"])
def test_a_heads_network_keeps_its_tensors_names_and_gives_18_logits(head):
    plain, _ = build(recipe("test_resnet"), FACE_MASK)
    network, _ = build(recipe("test_resnet", head={"_name": head, "dropout": 0.5}), FACE_MASK)
    assert network.state_dict().keys() == plain.state_dict().keys()
    photos = torch.rand(2, 3, 32, 32)
    logits = network.eval()(photos)
    assert logits.shape == (2, 18)
    assert torch.equal(copy.deepcopy(network)(photos), logits)  # as an average of the weights begins
    assert last_layers(network)[0].out_features == HEADS[head](FACE_MASK).outputs


# They end in a linear layer, a convolution, a layer of a block, and two layers.
@pytest.mark.parametrize("model", ["test_resnet", "dla46x_c", "convnext_atto", "levit_128s"])
def test_a_hidden_layer_stands_before_the_outputs(model):
    size = (224, 224) if model == "levit_128s" else (64, 64)
    head = {"_name": "mlp", "hidden": 64, "dropout": 0.25}
    torch.manual_seed(0)
    network, _ = build(recipe(model, size, head=head), FACE_MASK)
    seen = []
    for layer in last_layers(network):
        layer.hidden.register_forward_hook(lambda layer, _, outputs: seen.append(outputs.detach().flatten(1)))
        layer.outputs.register_forward_hook(
            lambda layer, inputs, _: seen.append(inputs[0].detach().flatten(1))
        )
    photos = torch.rand(8, 3, *size)
    assert network.eval()(photos).shape == (8, 18)
    for hidden, last in zip(seen[::2], seen[1::2], strict=True):
        assert hidden.shape == (8, 64)
        assert (hidden < 0).any()
        assert torch.equal(last, hidden.relu())
    seen.clear()
    network.train()(photos)
    for hidden, last in zip(seen[::2], seen[1::2], strict=True):
        kept = (last != 0) & (hidden > 0)
        assert 0 < ((last == 0) & (hidden > 0)).sum() < 0.6 * (hidden > 0).sum()
        assert torch.allclose(last[kept], hidden[kept] / 0.75)


def test_a_hidden_layer_goes_under_classes_or_factors():
    without = Task("letters", ("a", "b", "c"))
    assert HEADS["mlp"](without, hidden=5)[:] == (3, 0.0, None, 5, ())
    assert HEADS["mlp"](FACE_MASK, hidden=5).outputs == 8
    network, _ = build(
        recipe("test_resnet+test_vit", join="features", head={"_name": "mlp", "hidden": 5}), FACE_MASK
    )
    assert (network.last.hidden.out_features, network.last.outputs.out_features) == (5, 8)
    assert network.eval()(torch.rand(2, 3, 32, 32)).shape == (2, 18)


def test_three_heads_are_as_precise_under_mixed_precision():
    """Sums of log-probabilities in bfloat16 would be right to a percent at best."""
    half = parts().detach().bfloat16()
    assert joint_logits(half, FACE_MASK.sizes).dtype == torch.float32
    assert torch.allclose(joint_logits(half, FACE_MASK.sizes).exp().sum(1), torch.ones(6), atol=1e-5)


@pytest.fixture(scope="module")
def faces(people):
    return read_train(people).table.head(72)


def first_loss(config, faces):
    """Of a new network in training, over some photos; and the network, with its gradients."""
    torch.manual_seed(config.seed)
    network, preprocessing = build(config, FACE_MASK)
    (batch,) = batches.loader(batches.Photos(faces, preprocessing), len(faces))
    loss = F.cross_entropy(network.train()(preprocessing.normalise(batch.photos)).float(), batch.labels)
    loss.backward()
    return loss.item(), network


@pytest.mark.parametrize(
    ("model", "head"),
    [
        *product(
            ("lcnet_050 none", "convnext_atto none", "deit_tiny_distilled_patch16_224 none"),
            sorted(HEADS.keys() - {"auto"}),  # that of factors, see below
        ),
        ("tf_efficientnet_lite0 package", "auto"),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in (
                ("tf_efficientnet_lite0 package", "classes"), ("tf_efficientnet_lite0 package", "mlp"),
                ("tf_efficientnet_lite0 none", "factors"), ("mobilenetv3_large_100 none", "classes"),
                ("mobilenetv4_conv_small none", "mlp"), ("resnet18 none", "factors"),
                ("vit_tiny_patch16_224 none", "mlp"), ("tf_efficientnet_lite2 package", "factors"),
                ("dla34 none", "factors"), ("dla34 none", "mlp"),
                ("test_resnet+mobilenetv3_large_100 none", "classes"),
                ("test_resnet+mobilenetv3_large_100 none", "mlp"),
                ("tf_efficientnet_lite0+tf_efficientnet_lite1 package", "factors"),
                ("tf_efficientnet_lite0+tf_efficientnet_lite1 package", "mlp"),
            )
        ),
    ],
)  # fmt: skip
def test_a_new_network_knows_nothing_and_its_first_layer_learns(model, head, faces):
    """dla34 ends in a convolution, the distilled one in two layers. As timm draws them the first losses of the
    mobile ones and of dla34 are 4 to 11."""
    name, weights = model.split()
    join = "features" if head == "mlp" and "+" in name else "logits"
    loss, network = first_loss(recipe(name, "64x64", weights=weights, head={"_name": head}, join=join), faces)
    normalised = name.startswith(("convnext", "vit", "deit"))  # their last features are as large as 1 each
    near = 0.8 if head == "mlp" else 0.6 if normalised else 0.2  # of two layers that are drawn, or one
    assert loss == pytest.approx(math.log(FACE_MASK.n_classes), abs=near)
    for member in getattr(network, "members", [network]):
        first = next(p for p in member.parameters() if p.dim() > 1)
        assert first.grad.abs().sum() > 0


def test_no_hidden_unit_of_a_joint_network_is_dead_or_lost_beside_the_others(faces):
    """Each of the 18 of each member passes some photos on, about as strongly as the others do."""
    config = recipe("test_resnet+mobilenetv3_large_100+vit_tiny_patch16_224", "64x64")
    hidden = []
    torch.manual_seed(config.seed)
    network, preprocessing = build(config, FACE_MASK)
    network.last.register_forward_pre_hook(lambda _, inputs: hidden.append(inputs[0].detach()))
    (batch,) = batches.loader(batches.Photos(faces, preprocessing), len(faces))
    network.train()(preprocessing.normalise(batch.photos))
    alive = (hidden[0] > 0).any(0)
    assert alive.float().mean() > 0.9
    assert all(0.1 < part.square().mean().sqrt() < 3 for part in hidden[0].split(FACE_MASK.n_classes, 1))


def test_the_seed_decides_what_a_head_starts_with():
    def head(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return last_layers(build(recipe("test_resnet"), FACE_MASK)[0])[0].weight

    assert torch.equal(head(1), head(1))
    assert not torch.equal(head(1), head(2))


def test_auto_is_one_of_factors_where_there_are_factors():
    without = Task("letters", ("a", "b", "c"))
    assert HEADS["auto"](without).outputs == 3
    assert HEADS["auto"](without).to_logits is None
    assert (
        HEADS["auto"](FACE_MASK, dropout=0.1)[:2] == HEADS["factors"](FACE_MASK, dropout=0.1)[:2] == (8, 0.1)
    )
