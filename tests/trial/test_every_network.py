"""Every kind of network survives what a trial does with it: it is built, trained, saved, loaded, and gives the
same answers again; and of weights files it takes its own and refuses another's.

By default the smallest network of each of timm's modules. All families, a family being networks that differ
in width and depth alone (about 20 minutes of one core and up to 8 GiB; those above LARGEST are left out):

    FACE_MASK_EVERY_NETWORK=1 python -m pytest tests/trial/test_every_network.py
"""

import os
import re
import shutil
from functools import cache

import numpy as np
import pytest
import timm
import torch

import trial.other_networks  # noqa: F401 - adds to timm's
from analysis.predict import load
from dataset.errors import CallersMistake
from dataset.photos import read_train
from tests.conftest import TINY
from trial import batches, models
from trial.catalogue import networks
from trial.compute import decide
from trial.config import parse
from trial.fit import fit
from trial.heads import last_layers
from trial.pretrained import with_weights
from trial.record import RunWriter

torch.set_num_threads(1)  # tests run side by side
LARGEST = 350e6  # parameters
NONE_SMALL = {"deepseek_vit"}  # its smallest has 412 million parameters
SMALLEST = {  # of each module: the one with the fewest parameters, but for byoanet's (that one takes minutes)
    "beit": "beit_base_patch16_224", "byoanet": "lambda_resnet26t", "byobnet": "test_byobnet",
    "cait": "cait_xxs24_224", "coat": "coat_tiny", "convit": "convit_tiny",
    "convmixer": "convmixer_768_32", "convnext": "test_convnext", "cpubone": "cpubone_nano",
    "crossvit": "crossvit_tiny_240", "csatv2": "csatv2", "cspnet": "cs3darknet_focus_s",
    "cspnext": "cspnext_tiny", "davit": "davit_tiny",
    "deit": "deit_tiny_patch16_224", "densenet": "densenet121", "dla": "dla46x_c", "dpn": "dpn48b",
    "edgenext": "edgenext_xx_small", "efficientformer": "efficientformer_l1",
    "efficientformer_v2": "efficientformerv2_s0", "efficientnet": "test_efficientnet",
    "efficientvim": "efficientvim_m1", "efficientvit_mit": "efficientvit_b0",
    "efficientvit_msra": "efficientvit_m0", "eva": "vit_tiny_patch16_dinov3_qkvb",
    "fasternet": "fasternet_t0", "fastvit": "fastvit_t8", "focalnet": "focalnet_tiny_srf",
    "gcvit": "gcvit_xxtiny", "gemma4_vit": "gemma4_vit_167m", "ghostnet": "ghostnet_050",
    "hardcorenas": "hardcorenas_b", "hgnet": "hgnetv2_b0", "hiera": "hiera_tiny_224",
    "hieradet_sam2": "sam2_hiera_tiny", "hrnet": "hrnet_w18_small", "iformer": "iformer_t",
    "inception_next": "inception_next_atto", "inception_resnet_v2": "inception_resnet_v2",
    "inception_v3": "inception_v3", "inception_v4": "inception_v4", "lcnetv2": "lcnetv2_small",
    "levit": "levit_128s", "lowformer": "lowformer_b0", "mambaout": "test_mambaout",
    "maxxvit": "test_coatnet", "metaformer": "poolformerv2_s12", "mlp_mixer": "gmlp_ti16_224",
    "mobilenetv3": "lcnet_035", "mobilenetv5": "mobilenetv5_base", "mobilevit": "mobilevit_xxs",
    "mvitv2": "mvitv2_tiny", "naflexvit": "naflexvit_base_patch16_parfac_gap", "nasnet": "nasnetalarge",
    "nest": "nest_tiny", "nextvit": "nextvit_small", "nfnet": "test_nfnet",
    "other_networks": "googlenet", "pit": "pit_ti_224", "pnasnet": "pnasnet5large",
    "pvt_v2": "pvt_v2_b0", "qwen3_vit": "qwen3_vit_88m", "rdnet": "rdnet_tiny", "regnet": "regnetx_002",
    "repghost": "repghostnet_050", "repvit": "repvit_m1", "res2net": "res2next50",
    "resnest": "resnest14d", "resnet": "test_resnet", "resnetv2": "resnetv2_18", "rexnet": "rexnet_100",
    "selecsls": "selecsls42", "senet": "legacy_seresnet18", "sequencer": "sequencer2d_s",
    "shvit": "shvit_s1", "sknet": "skresnet18", "starnet": "starnet_s050",
    "swiftformer": "swiftformer_xs", "swin_transformer": "swin_tiny_patch4_window7_224",
    "swin_transformer_v2": "swinv2_tiny_window16_256", "swin_transformer_v2_cr": "swinv2_cr_tiny_224",
    "tiny_vit": "tiny_vit_5m_224", "tnt": "tnt_s_legacy_patch16_224", "tresnet": "tresnet_m",
    "twins": "twins_svt_small", "vgg": "vgg11", "visformer": "visformer_tiny",
    "vision_transformer": "test_vit", "vision_transformer_hybrid": "vit_tiny_r_s16_p8_224",
    "vision_transformer_relpos": "test_vit_relpos", "vision_transformer_sam": "samvit_base_patch16_224",
    "vitamin": "vitamin_small_224", "volo": "volo_d1_224", "vovnet": "ese_vovnet19b_slim_dw",
    "xception": "legacy_xception", "xception_aligned": "xception41p", "xcit": "xcit_nano_12_p8_224",
}  # fmt: skip


def test_each_module_of_timm_has_a_network_here():
    offered = {
        module: networks().keys() & set(timm.list_models(module=module)) for module in timm.list_modules()
    }
    assert {module for module, names in offered.items() if names} - NONE_SMALL == SMALLEST.keys()
    assert [name for module, name in SMALLEST.items() if name not in offered[module]] == []


@cache
def families() -> dict[str, int]:
    """{the smallest network of each family: its parameters}, smallest first."""
    sizes, kinds = {}, {}
    for name in networks():
        with torch.device("meta"):
            network = timm.create_model(name, num_classes=18)
        sizes[name] = sum(p.numel() for p in network.parameters())
        kinds[name] = tuple(
            sorted({re.sub(r"\d+", "#", f"{n} {type(m)}") for n, m in network.named_modules()})
        )
    by_size = sorted(sizes, key=sizes.__getitem__)
    smallest = {kinds[name]: name for name in reversed(by_size)}
    return {name: sizes[name] for name in by_size if name in smallest.values()}


def size_of(name: str) -> tuple[int, int]:
    network = networks()[name]
    if network.fixed and not network.multiple:
        return network.fixed
    step = network.multiple or 1
    side = -(-max(64, network.least) // step) * step
    return side, side


of_each_kind = pytest.mark.parametrize(
    "name", families() if os.environ.get("FACE_MASK_EVERY_NETWORK") else SMALLEST.values()
)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@of_each_kind
def test_it_learns_is_saved_loaded_and_gives_the_same_answers(name, people, tmp_path):
    if os.environ.get("FACE_MASK_EVERY_NETWORK") and families()[name] > LARGEST:
        pytest.skip(f"{families()[name] / 1e6:.0f} million parameters")
    values = {
        "model": name, "image_size": list(size_of(name)), "epochs": 1, "batch_size": 4, "optimizer": "sgd",
        "layer_decay": 0.9, "ema": 0.5,
    }  # fmt: skip
    config = parse({**TINY, **values})
    table = read_train(people).iloc[::15]
    torch.manual_seed(config.seed)
    network, preprocessing = models.build(config)
    before = [layer.weight.detach().clone() for layer in last_layers(network)]
    writer = RunWriter(tmp_path / "run", config)
    writer.origin({})
    writer.preprocessing(preprocessing)
    learn, check = (batches.Photos(part, preprocessing) for part in (table.head(8), table.tail(4)))
    (epoch,) = fit(
        network, preprocessing, config, decide(config, network), np.ones(18),
        batches.loader(learn, 4, shuffle=True), batches.loader(check, 4),
    )  # fmt: skip
    writer.epoch(epoch.row())
    writer.weights(epoch.network.state_dict())
    writer.end("done")
    learned = last_layers(epoch.network)
    assert not any(torch.equal(old, new.weight) for old, new in zip(before, learned, strict=True))
    again = load(tmp_path / "run").predict(table.tail(4))
    shutil.rmtree(tmp_path)  # pytest keeps what the last tests wrote
    assert np.allclose(again, epoch.probabilities, atol=1e-5)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@of_each_kind
def test_its_own_weights_are_taken_and_another_networks_refused(name):
    """On torch's meta device, where shapes and names are real and numbers aren't."""
    other = "test_vit" if "res" in name else "resnet18"

    def create(state):
        return models.create(name, size_of(name), 18, state)

    with torch.device("meta"):
        own, foreign = (timm.create_model(n).state_dict() for n in (name, other))
        with_weights(create, {f"model.{key}": tensor for key, tensor in own.items()}, "weights=FILE", name)
        with pytest.raises(CallersMistake, match=f"weights=FILE don't fit {name}: "):
            with_weights(create, foreign, "weights=FILE", name)
