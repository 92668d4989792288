"""The kinds of networks that are offered, a network of each, for tests that go through them all.

A test that only reads shapes goes through SMALLEST: the smallest network of each of timm's modules, but for
LARGE ones. One that trains them goes through TRAINED, those of SMALLEST that differ in what this project does
with them: where the last layer lies and how many there are, how photos of any size come in, what is not a
layer, and what is frozen or decays by depth. Before timm's pin moves, both go through the smallest of each family, a
family being networks that differ in width and depth alone, up to LARGEST parameters (some 390; about half an hour of
one core and up to 8 GiB):

    FACE_MASK_EVERY_NETWORK=1 python -m pytest -n 2 tests/trial/models/test_every_network.py tests/trial/models/test_own_weights.py
"""

import os
import re

import pytest
import timm
import torch

import trial.models.other_networks  # noqa: F401 - adds to timm's
from trial.catalogue import networks

LARGEST = 350e6
LARGE = {  # modules whose smallest has more than 40 million
    "beit", "deepseek_vit", "gemma4_vit", "inception_resnet_v2", "inception_v4", "mobilenetv5",
    "naflexvit", "nasnet", "pnasnet", "qwen3_vit", "vgg", "vision_transformer_sam",
}  # fmt: skip
SMALLEST = {  # of each module: the fewest parameters, but for byoanet, where that one takes minutes
    "byoanet": "lambda_resnet26t", "byobnet": "test_byobnet", "cait": "cait_xxs24_224",
    "coat": "coat_tiny", "convit": "convit_tiny", "convmixer": "convmixer_768_32",
    "convnext": "test_convnext", "cpubone": "cpubone_nano", "crossvit": "crossvit_tiny_240",
    "csatv2": "csatv2", "cspnet": "cs3darknet_focus_s", "cspnext": "cspnext_tiny",
    "davit": "davit_tiny", "deit": "deit_tiny_patch16_224", "densenet": "densenet121",
    "dla": "dla46x_c", "dpn": "dpn48b", "edgenext": "edgenext_xx_small",
    "efficientformer": "efficientformer_l1", "efficientformer_v2": "efficientformerv2_s0",
    "efficientnet": "test_efficientnet", "efficientvim": "efficientvim_m1",
    "efficientvit_mit": "efficientvit_b0", "efficientvit_msra": "efficientvit_m0",
    "eva": "vit_tiny_patch16_dinov3_qkvb", "fasternet": "fasternet_t0", "fastvit": "fastvit_t8",
    "focalnet": "focalnet_tiny_srf", "gcvit": "gcvit_xxtiny", "ghostnet": "ghostnet_050",
    "hardcorenas": "hardcorenas_b", "hgnet": "hgnetv2_b0", "hiera": "hiera_tiny_224",
    "hieradet_sam2": "sam2_hiera_tiny", "hrnet": "hrnet_w18_small", "iformer": "iformer_t",
    "inception_next": "inception_next_atto", "inception_v3": "inception_v3", "lcnetv2": "lcnetv2_small",
    "levit": "levit_128s", "lowformer": "lowformer_b0", "mambaout": "test_mambaout",
    "maxxvit": "test_coatnet", "metaformer": "poolformerv2_s12", "mlp_mixer": "gmlp_ti16_224",
    "mobilenetv3": "lcnet_035", "mobilevit": "mobilevit_xxs", "mvitv2": "mvitv2_tiny",
    "nest": "nest_tiny", "nextvit": "nextvit_small", "nfnet": "test_nfnet",
    "other_networks": "googlenet", "pit": "pit_ti_224", "pvt_v2": "pvt_v2_b0", "rdnet": "rdnet_tiny",
    "regnet": "regnetx_002", "repghost": "repghostnet_050", "repvit": "repvit_m1",
    "res2net": "res2next50", "resnest": "resnest14d", "resnet": "test_resnet",
    "resnetv2": "resnetv2_18", "rexnet": "rexnet_100", "selecsls": "selecsls42",
    "senet": "legacy_seresnet18", "sequencer": "sequencer2d_s", "shvit": "shvit_s1",
    "sknet": "skresnet18", "starnet": "starnet_s050", "swiftformer": "swiftformer_xs",
    "swin_transformer": "swin_tiny_patch4_window7_224",
    "swin_transformer_v2": "swinv2_tiny_window16_256", "swin_transformer_v2_cr": "swinv2_cr_tiny_224",
    "tiny_vit": "tiny_vit_5m_224", "tnt": "tnt_s_legacy_patch16_224", "tresnet": "tresnet_m",
    "twins": "twins_svt_small", "visformer": "visformer_tiny", "vision_transformer": "test_vit",
    "vision_transformer_hybrid": "vit_tiny_r_s16_p8_224",
    "vision_transformer_relpos": "test_vit_relpos", "vitamin": "vitamin_small_224",
    "volo": "volo_d1_224", "vovnet": "ese_vovnet19b_slim_dw", "xception": "legacy_xception",
    "xception_aligned": "xception41p", "xcit": "xcit_nano_12_p8_224",
}  # fmt: skip
TRAINED = (
    "byobnet", "convnext", "crossvit", "deit", "densenet", "efficientnet", "eva", "levit", "mambaout", "maxxvit",
    "mobilenetv3", "nfnet", "other_networks", "pit", "pvt_v2", "regnet", "repvit", "resnet", "resnetv2",
    "vision_transformer", "vision_transformer_relpos",
)  # fmt: skip


def families() -> list[str]:
    """The smallest network of each family, smallest first."""
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
    return [name for name in by_size if name in smallest.values() and sizes[name] <= LARGEST]


def size_of(name: str) -> tuple[int, int]:
    network = networks()[name]
    if network.fixed and not network.multiple:
        return network.fixed
    step = network.multiple or 1
    side = -(-max(64, network.min_side) // step) * step
    return side, side


_every = families() if os.environ.get("FACE_MASK_EVERY_NETWORK") else None
of_each_kind = pytest.mark.parametrize("name", _every or SMALLEST.values())
of_each_trained = pytest.mark.parametrize("name", _every or [SMALLEST[module] for module in TRAINED])
