"""The baseline's networks, each built and run; those above 30 million parameters on torch's meta device,
where shapes and gradients' ways are real and numbers aren't."""

import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file

from common.errors import UsageError
from dataset.face_masks.labels import FACE_MASK
from tools.network_table import BASELINE, DOCUMENT, with_table
from trial.catalogue import networks
from trial.commands.fetch import fetch_all
from trial.config import parse
from trial.models import weights
from trial.preprocessing import Preprocessing
from trial.recipe import build

torch.set_num_threads(1)  # tests run side by side
LARGE = {
    "resnet101", "resnet152", "resnext101_32x8d", "wide_resnet50_2", "wide_resnet101_2", "alexnet",
    "efficientnet_b6", "efficientnet_b7", "vit_base_patch16_224",
    "vgg11", "vgg13", "vgg16", "vgg19", "vgg11_bn", "vgg13_bn", "vgg16_bn", "vgg19_bn",
}  # fmt: skip


def recipe(model: str, **more):
    return parse({"model": model, "weights": "none", "image_size": "32x32", **more})


@pytest.mark.slow
@pytest.mark.parametrize("name", BASELINE)
def test_every_network_of_the_baseline_gives_18_logits_and_learns_in_its_first_layer(name):
    least = max(32, networks()[name].min_side)
    with torch.device("meta" if name in LARGE else "cpu"):
        network, _ = build(recipe(name, image_size=[least, least + 16]), FACE_MASK)
        network.train()
        logits = network(torch.rand(2, 3, least, least + 16))
    assert logits.shape == (2, 18)
    torch.nn.functional.cross_entropy(logits, torch.tensor([1, 17], device=logits.device)).backward()
    first = next(p for p in network.parameters() if p.dim() > 1)
    assert first.grad is not None
    if name not in LARGE:
        assert logits.isfinite().all()
        assert first.grad.abs().sum() > 0


@pytest.mark.slow
def test_the_table_of_networks_is_that_of_what_is_installed():
    document = DOCUMENT.read_text()
    assert with_table(document) == document, "run: python -m tools.network_table"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning:timm")
@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "swin_tiny_patch4_window7_224"])
def test_weights_of_one_size_are_resampled_for_another(name, tmp_path):
    own = timm.create_model(name)
    save_file(own.state_dict(), tmp_path / "w.safetensors")
    network, _ = build(recipe(name, image_size="64x48", weights=str(tmp_path / "w.safetensors")), FACE_MASK)
    assert network(torch.rand(2, 3, 64, 48)).shape == (2, 18)
    if name.startswith("vit"):
        assert network.pos_embed.shape == (1, 1 + 4 * 3, 192)
        grid = own.pos_embed[:, 1:].reshape(1, 14, 14, 192).permute(0, 3, 1, 2)
        smaller = torch.nn.functional.interpolate(grid, (4, 3), mode="bicubic", antialias=True)
        assert torch.allclose(network.pos_embed[0, 1:], smaller.flatten(2)[0].T, atol=1e-5)


def test_a_size_that_a_vit_can_not_be_built_for_is_refused_with_the_nearest():
    with pytest.raises(UsageError, match="multiples of 16 each way, such as 96x64"):
        recipe("vit_tiny_patch16_224", image_size="100x70")
    with pytest.raises(UsageError, match="needs at least 16"):
        recipe("deepvit", image_size="8x8")


def test_our_googlenet_is_torchvisions_with_its_own_preparation_and_without_auxiliary_classifiers(tmp_path):
    theirs = torchvision.models.GoogLeNet(num_classes=1000, transform_input=True, init_weights=False).eval()
    for module in theirs.modules():  # its first weights hardly pass anything on
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
    save_file(theirs.state_dict(), tmp_path / "w.safetensors")
    network, preprocessing = build(recipe("googlenet", weights=str(tmp_path / "w.safetensors")), FACE_MASK)
    photos = torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8)
    imagenet = Preprocessing((32, 32), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), "bilinear")
    theirs.fc = network.fc
    expected = theirs(imagenet.normalise(photos))
    assert torch.allclose(network.eval()(preprocessing.normalise(photos)), expected, atol=1e-4)
    assert expected.std() > 0.01


@pytest.mark.slow
@pytest.mark.parametrize("name", ["alexnet", "googlenet"])
def test_torchvisions_weights_are_fetched_from_its_address_and_found_by_trials(name, monkeypatch, tmp_path):
    theirs = torchvision.models.get_model_weights(name).DEFAULT
    state = getattr(torchvision.models, name)(
        **({"init_weights": False} if name == "googlenet" else {})
    ).state_dict()
    asked = []
    monkeypatch.setattr(
        "timm.models._builder.load_state_dict_from_url", lambda url, **more: asked.append(url) or dict(state)
    )
    monkeypatch.setattr(weights, "FETCHED", tmp_path)
    monkeypatch.setattr("trial.commands.fetch._status", lambda address: 200)
    fetch_all([name])
    assert asked == [theirs.url]
    assert (tmp_path / f"{name}.tv_in1k.safetensors").is_file()
    network, preprocessing = build(parse({"model": name, "image_size": "64x64"}), FACE_MASK)
    body = {key: tensor for key, tensor in network.state_dict().items() if key in state and tensor.dim() > 1}
    changed = {key for key, tensor in body.items() if not torch.equal(tensor, state[key])}
    assert changed == {f"{network.pretrained_cfg['classifier']}.weight"}
    assert preprocessing.interpolation == theirs.transforms().interpolation.value


def test_a_network_without_weights_is_refused_with_what_to_do():
    with pytest.raises(UsageError, match="deepvit has no pretrained weights; use weights=none"):
        recipe("deepvit", weights="hub")
    with pytest.raises(UsageError, match="tf_efficientnet_b7 has"):
        recipe("efficientnet_b7", weights="hub")
    with pytest.raises(UsageError, match="no package for deepvit"):
        recipe("deepvit", weights="package")


def test_a_file_whose_tensors_have_other_names_is_refused(tmp_path):
    save_file(timm.create_model("test_vit").state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(UsageError, match="don't fit resnet18"):
        build(recipe("resnet18", weights=str(tmp_path / "w.safetensors")), FACE_MASK)
