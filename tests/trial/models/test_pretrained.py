"""weights=FILE: what is taken, what is refused, and that nothing is random in silence."""

import logging

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


def state_of(name: str) -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    network = timm.create_model(name)
    for key, tensor in network.state_dict().items():
        if key.endswith(("running_mean", "running_var")):
            tensor.uniform_(0.5, 2)
    return network.state_dict()


@pytest.fixture(scope="module")
def own():
    return state_of(NAME)


def build(path, name: str = NAME):
    config = {"model": name, "image_size": "32x32", "weights": str(path)}
    return recipe.build(parse(config), FACE_MASK)[0]


def prefixed(state, prefix: str):
    return {prefix + key: tensor for key, tensor in state.items()}


def is_loaded(network, state) -> bool:
    mine = network.state_dict()
    new = {f"{network.pretrained_cfg['classifier']}.{what}" for what in ("weight", "bias")}
    return all(torch.equal(mine[key], state[key]) for key in mine.keys() - new)


WRAPPED = {  # {what a program writes: the prefix that is stripped}
    "plain": (lambda s: s, ""),
    "whole training": (lambda s: {"epoch": 3, "state_dict": s, "optimizer": {"state": {0: {}}}}, ""),
    "timm's with averages": (lambda s: {"state_dict": {k: 0 * t for k, t in s.items()}, "state_dict_ema": s}, ""),
    "model": (lambda s: {"model": s, "best": torch.tensor(0.5)}, ""),
    "a name beside it": (lambda s: {"model": "resnet", "model_state_dict": s}, ""),
    "nested": (lambda s: {"state_dict": {"model": s}}, ""),
    "DataParallel": (lambda s: prefixed(s, "module."), "module."),
    "compiled": (lambda s: prefixed(s, "_orig_mod.module."), "_orig_mod.module."),
    "backbone and a plain head": (
        lambda s: {**prefixed(s, "backbone."), "fc.weight": torch.ones(18, 64), "fc.bias": torch.ones(18)},
        "backbone.",
    ),
    "Lightning": (
        lambda s: {"state_dict": {**prefixed(s, "model."), "criterion.weight": torch.ones(18)}, "callbacks": {}},
        "model.",
    ),
    "Lightning, nested": (lambda s: {"state_dict": prefixed(s, "model.net.")}, "model.net."),
    "a name of one's own": (lambda s: prefixed(s, "features_of_faces."), "features_of_faces."),
    "without a head": (lambda s: {k: t for k, t in s.items() if not k.startswith("fc.")}, ""),
    "without counters": (lambda s: {k: t for k, t in s.items() if not k.endswith("num_batches_tracked")}, ""),
    "with a decoder": (lambda s: {**s, "decoder.0.weight": torch.ones(3), "mask_token": torch.ones(1)}, ""),
    "with a head of one's own": (lambda s: {**s, "fc.0.weight": torch.ones(3, 3)}, ""),
    "double": (lambda s: {k: t.double() if t.is_floating_point() else t for k, t in s.items()}, ""),
}  # fmt: skip


@pytest.mark.parametrize("kind", WRAPPED)
def test_the_networks_own_weights_are_taken_however_they_are_wrapped(kind, own, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    wrap, prefix = WRAPPED[kind]
    torch.save(wrap(own), tmp_path / "w.pth")
    assert is_loaded(build(tmp_path / "w.pth"), own)
    stripped = f"'{prefix}' was stripped from the names of {len(own)} tensors"
    assert (stripped in caplog.text) == bool(prefix)


@pytest.mark.parametrize("suffix", ["safetensors", "pth", "pt", "bin"])
@pytest.mark.parametrize("prefix", ["", "backbone."])
def test_every_kind_of_file_is_read(suffix, prefix, own, tmp_path):
    path, state = tmp_path / f"w.{suffix}", prefixed(own, prefix)
    save_file(state, path) if suffix == "safetensors" else torch.save(state, path)
    assert is_loaded(build(path), own)


def test_half_precision_is_taken_as_float32(own, tmp_path):
    half = {key: tensor.half() if tensor.is_floating_point() else tensor for key, tensor in own.items()}
    save_file(half, tmp_path / "w.safetensors")
    network = build(tmp_path / "w.safetensors")
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}
    assert is_loaded(network, {key: tensor.float() for key, tensor in half.items()})


def test_a_name_that_timm_knows_by_another_is_taken_behind_a_prefix_too(tmp_path, caplog):
    """Facebook's ConvNeXt: timm's reader renames its tensors."""
    caplog.set_level(logging.INFO)
    own = state_of("convnext_atto")

    def theirs(key: str) -> str:
        for ours, other in (("stem.", "downsample_layers.0."), (".blocks.", "."), (".conv_dw.", ".dwconv."),
                            (".mlp.fc", ".pwconv"), ("head.norm.", "norm."), ("head.fc.", "head.")):  # fmt: skip
            key = key.replace(ours, other)
        if ".downsample." in key:
            stage, rest = key.removeprefix("stages.").split(".downsample.")
            key = f"downsample_layers.{stage}.{rest}"
        return "model.backbone." + key

    torch.save({"state_dict": {theirs(key): tensor for key, tensor in own.items()}}, tmp_path / "w.pth")
    network = build(tmp_path / "w.pth", "convnext_atto")
    mine = network.state_dict()
    assert all(torch.equal(mine[k], own[k]) for k in mine.keys() - {"head.fc.weight", "head.fc.bias"})
    assert "'model.backbone.' was stripped" in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("given", "name", "words"),
    [
        ("resnet34", "resnet18", r"the file has \d+ tensors that the network's layers lack, such as layer1\.2"),
        ("resnet18", "resnet34", r"80 of its 180 tensors are missing, such as layer1\.2"),
        ("seresnet18", "resnet18", r"32 tensors that .* such as layer1\.0\.se\.fc1\.bias"),
        ("resnet50", "resnet18", "have another shape, such as layer1.0.conv1.weight: "),
        ("resnet18d", "resnet18", "are missing|another shape"),
        ("test_vit", "resnet18", "none of its 100 tensors is in the file"),
        ("resnet18", "test_vit", "another network's|none of its|can't read"),
        ("resnet18", "convnext_atto", "another network's|none of its|can't read"),
        ("resnet18", "test_efficientnet", "another network's|none of its|can't read"),
        ("vit_tiny_patch16_224", "deit_tiny_distilled_patch16_224", "another network's|none of its|can't read"),
        ("test_vit", "swin_tiny_patch4_window7_224", "another network's|none of its|can't read"),
        ("lcnet_050", "mobilenetv3_large_100", "another network's|none of its|can't read"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("prefix", ["", pytest.param("backbone.", marks=pytest.mark.slow)])
def test_another_networks_weights_are_refused(given, name, words, prefix, tmp_path):
    save_file(prefixed(state_of(given), prefix), tmp_path / "w.safetensors")
    with pytest.raises(UsageError, match=f"don't fit {name}: .*({words})") as refused:
        build(tmp_path / "w.safetensors", name)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("missing", ["conv1.0.weight", "layer2.0.bn1.running_var", "bn1.bias"])
def test_one_missing_tensor_is_named(missing, own, tmp_path):
    save_file({key: tensor for key, tensor in own.items() if key != missing}, tmp_path / "w.safetensors")
    with pytest.raises(UsageError, match=f"1 of its .* missing, such as {missing}"):
        build(tmp_path / "w.safetensors")


def test_integers_are_not_weights(own, tmp_path):
    state = {**own, "layer1.0.conv1.weight": own["layer1.0.conv1.weight"].to(torch.int8)}
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(UsageError, match=r"1 of its .* floating-point .* layer1\.0\.conv1\.weight: int8"):
        build(tmp_path / "w.safetensors")


def test_what_a_run_kept_can_be_gone_on_from(tmp_path):
    from trial.run_folder.record import RunWriter

    torch.manual_seed(3)
    network, _ = recipe.build(parse({"model": NAME, "image_size": "32x32", "weights": "none"}), FACE_MASK)
    RunWriter(tmp_path / "run").weights(network.state_dict())
    assert is_loaded(build(tmp_path / "run" / "weights.safetensors"), network.state_dict())
