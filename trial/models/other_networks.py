"""Networks of other libraries, registered with timm by its `register_model`.

Importing this file lets timm build and list them, and fetch and load their weights like those of its own
networks. `group_matcher` names the parameters of each layer (`coarse`: of each stage), as timm's networks do.
"""

from typing import Any

from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from torch import Tensor, nn

HALVES = (0.5, 0.5, 0.5)

default_cfgs = generate_default_cfgs(
    {
        "alexnet.tv_in1k": {
            "url": "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
            "interpolation": "bilinear", "first_conv": "features.0", "classifier": "classifier.6",
        },
        # torchvision's converts ImageNet's mean and standard deviation to halves in each forward pass.
        "googlenet.tv_in1k": {
            "url": "https://download.pytorch.org/models/googlenet-1378be20.pth",
            "interpolation": "bilinear", "first_conv": "conv1.conv", "classifier": "fc",
            "mean": HALVES, "std": HALVES,
        },
        "deepvit.untrained": {"fixed_input_size": True, "classifier": "mlp_head.1"},
        # What the original subtracts from pixels of 0 to 255, and no division.
        "hse_faceres.vggface2": {
            "file": "faceres-deep.bin", "license": "mit", "input_size": (3, 224, 224), "pool_size": (7, 7),
            "interpolation": "bilinear", "first_conv": "conv_stem", "classifier": "classifier",
            "mean": (123.68 / 255, 116.779 / 255, 103.939 / 255), "std": (1 / 255, 1 / 255, 1 / 255),
        },
    }
)  # fmt: skip


@register_model
def alexnet(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """AlexNet (Krizhevsky 2014, arXiv:1404.5997), torchvision's."""
    from torchvision.models import AlexNet

    network = _build(AlexNet, "alexnet", pretrained, dropout=0.0, **kwargs)
    network.group_matcher = lambda coarse=False: {
        "features": r"^features\.(\d+)", "classifier": r"^classifier\.(\d+)",
    }  # fmt: skip
    return network


@register_model
def googlenet(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """GoogLeNet (Szegedy et al. 2014, arXiv:1409.4842) without its auxiliary classifiers, torchvision's."""
    from torchvision.models import GoogLeNet

    def without_auxiliary(state: dict[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
        return {key: tensor for key, tensor in state.items() if not key.startswith("aux")}

    network = _build(
        GoogLeNet, "googlenet", pretrained, pretrained_filter_fn=without_auxiliary,
        aux_logits=False, init_weights=True, dropout=0.0, **kwargs,
    )  # fmt: skip
    blocks = ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b")
    network.group_matcher = lambda coarse=False: {
        "stem": r"^conv\d",
        "blocks": r"^inception(\d)" if coarse else [(f"^inception{b}", (i,)) for i, b in enumerate(blocks)],
    }
    return network


@register_model
def deepvit(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """DeepViT of 16 blocks, re-attention in each (Zhou et al. 2021, arXiv:2103.11886), vit-pytorch's."""
    network = _build(_deepvit, "deepvit", pretrained, **kwargs)
    network.group_matcher = lambda coarse=False: {
        "stem": r"^to_patch_embedding|^pos_embedding|^cls_token", "blocks": r"^transformer\.layers\.(\d+)",
    }  # fmt: skip
    return network


@register_model
def hse_faceres(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """timm's MobileNetV1 with TensorFlow's padding, for the weights of trial/models/hse_faceres.py."""
    from timm.models.efficientnet import _gen_mobilenet_v1  # mobilenetv1_100 takes no other pretrained_cfg

    return _gen_mobilenet_v1("hse_faceres", pretrained=pretrained, pad_type="same", **kwargs)


def _deepvit(num_classes: int, img_size: tuple[int, int]) -> nn.Module:
    import torch
    from vit_pytorch.deepvit import DeepViT

    patch, width = 16, 384
    height_in_patches, width_in_patches = (side // patch for side in img_size)
    network = DeepViT(
        image_size=patch, patch_size=patch, num_classes=num_classes,
        dim=width, depth=16, heads=12, dim_head=width // 12, mlp_dim=3 * width,
    )  # fmt: skip
    # Built for squares only, but all it needs is a position for each patch and one for the class token.
    positions = height_in_patches * width_in_patches + 1
    network.pos_embedding = nn.Parameter(torch.randn(1, positions, width))
    return network


def _build(kind: Any, name: str, pretrained: bool, **kwargs: Any) -> Any:
    return build_model_with_cfg(kind, name, pretrained, kwargs_filter=("in_chans",), **kwargs)
