"""Files that hold no weights: each is refused in one line, and the network never asked."""

import copy
import pickle

import pytest
import timm
import torch
from safetensors.torch import save_file

from common.errors import UsageError
from dataset.face_masks.labels import FACE_MASK
from trial import recipe
from trial.config import parse

torch.set_num_threads(1)  # tests run side by side
NAME = "test_resnet"


@pytest.fixture(scope="module")
def own():
    return timm.create_model(NAME).state_dict()


def build(path, name: str = NAME):
    return recipe.build(parse({"model": name, "image_size": "32x32", "weights": str(path)}), FACE_MASK)[0]


NO_WEIGHTS = {
    "nothing": ({}, "holds no network's weights"),
    "an epoch": ({"epoch": 3}, "no named tensors: epoch"),
    "an empty state dict": ({"state_dict": {}, "epoch": 3}, "no named tensors: state_dict, epoch"),
    "a list": ([torch.ones(2)], "holds no network's weights .list."),
    "one tensor": (torch.ones(2), "holds no network's weights .Tensor."),
    "numbered tensors": ({0: torch.ones(2), 1: torch.ones(2)}, "no named tensors: 0, 1"),
    "None": (None, "holds no network's weights .NoneType."),
    "names of nothing it knows": ({"a": torch.ones(2)}, "don't fit"),
}  # fmt: skip


@pytest.mark.parametrize(
    "name", [NAME, "vit_tiny_patch16_224", "convnext_atto", "swin_tiny_patch4_window7_224"]
)
@pytest.mark.parametrize("kind", NO_WEIGHTS)
def test_a_file_without_weights_is_refused_and_the_network_never_asked(kind, name, tmp_path):
    """timm, given an empty state dict, would download its own weights."""
    content, words = NO_WEIGHTS[kind]
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(UsageError, match=words):
        build(tmp_path / "w.pth", name)


def test_an_optimizers_state_is_no_networks(tmp_path):
    network = timm.create_model(NAME)
    optimizer = torch.optim.AdamW(network.parameters())
    network(torch.rand(2, 3, 32, 32)).sum().backward()
    optimizer.step()
    torch.save(optimizer.state_dict(), tmp_path / "w.pth")
    with pytest.raises(UsageError, match="no named tensors: state, param_groups"):
        build(tmp_path / "w.pth")
    save_file({}, tmp_path / "w.safetensors")
    with pytest.raises(UsageError, match="no named tensors"):
        build(tmp_path / "w.safetensors")


def test_a_pickled_network_is_refused_with_what_to_save(tmp_path):
    torch.save(timm.create_model(NAME), tmp_path / "w.pth")
    with pytest.raises(UsageError, match=r"holds Python objects .* save network.state_dict\(\)"):
        build(tmp_path / "w.pth")
    (tmp_path / "w.pt").write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(UsageError, match="weights"):
        build(tmp_path / "w.pt")


@pytest.mark.parametrize("suffix", ["safetensors", "pth", "pt", "bin"])
@pytest.mark.parametrize("damage", ["empty", "text", "half of it"])
def test_a_damaged_file_is_refused_in_one_line(suffix, damage, own, tmp_path):
    path = tmp_path / f"w.{suffix}"
    save_file(own, path) if suffix == "safetensors" else torch.save(own, path)
    whole = path.read_bytes()
    path.write_bytes({"empty": b"", "text": b"no weights", "half of it": whole[: len(whole) // 2]}[damage])
    with pytest.raises(UsageError, match="can't be read as weights") as refused:
        build(path)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
@pytest.mark.parametrize("key", ["layer1.0.conv1.weight", "bn1.running_var"])
def test_weights_that_are_not_finite_are_refused_with_the_tensors_name(number, key, own, tmp_path):
    state = copy.deepcopy(own)
    state[key].view(-1)[-1] = number
    torch.save(
        {"state_dict": {f"model.{name}": tensor for name, tensor in state.items()}}, tmp_path / "w.pth"
    )
    with pytest.raises(UsageError, match=f"model.{key} has NaN or infinite"):
        build(tmp_path / "w.pth")
