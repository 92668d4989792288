"""Generate the table of docs/networks.md from what is installed.

python -m tools.network_table
"""

import re
from collections.abc import Iterator
from importlib.metadata import metadata
from typing import Any

from common.image_size import size_text
from common.machine import PROJECT, shipped
from trial.catalogue import networks, plain
from trial.commands.fetch import named_by
from trial.models.weights import HSE_FACERES, PACKAGES, full_name, similar_with_weights

DOCUMENT = PROJECT / "docs" / "networks.md"
BASELINE = (  # what the baseline offered
    "resnet18", "resnet34", "resnet50", "resnet101", "resnet152",
    "resnext50_32x4d", "resnext101_32x8d", "wide_resnet50_2", "wide_resnet101_2",
    "vgg11", "vgg13", "vgg16", "vgg19", "vgg11_bn", "vgg13_bn", "vgg16_bn", "vgg19_bn",
    "alexnet", "densenet121", "densenet161", "densenet169", "densenet201", "googlenet",
    *(f"efficientnet_b{number}" for number in range(8)),
    "vit_tiny_patch16_224", "vit_small_patch16_224", "vit_base_patch16_224", "deepvit",
)  # fmt: skip
HEAD = (
    "| name | ImageNet weights | their licence | parameters, millions | smallest side | sizes |",
    "|---|---|---|---|---|---|",
)


def shown() -> list[str]:
    """The baseline's networks, then what the shipped experiments and packages add."""
    experiments = shipped("experiments", "*.yaml")
    used = {name for path in experiments for model, _ in named_by(path) for name in model.split("+")}
    # The one without ImageNet weights has a paragraph of its own.
    return list(dict.fromkeys([*BASELINE, *sorted(used - {HSE_FACERES}), *PACKAGES]))


def table() -> str:
    """The whole table, in Markdown."""
    return "\n".join([*HEAD, *(_row(name) for name in shown())])


def with_table(document: str) -> str:
    """`document` with its table replaced by the current one."""
    rows = re.compile(r"^\|.*\n(\|.*\n?)+", re.MULTILINE)
    return rows.sub(lambda _: table() + "\n", document, count=1)


def _row(name: str) -> str:
    import timm
    import torch

    import trial.models.other_networks  # noqa: F401 - registers them with timm

    with torch.device("meta"):
        millions = sum(p.numel() for p in timm.create_model(name, num_classes=18).parameters()) / 1e6
    sources, licences = zip(*_weights(name), strict=True)
    known = networks()[plain(name)]
    only = f"only {size_text(known.fixed)}" if known.fixed else "any"
    sizes = f"multiples of {known.multiple}" if known.multiple else only
    cells = (f"`{name}`", "; ".join(sources), "; ".join(licences), f"{millions:.1f}", known.min_side, sizes)
    return "| " + " | ".join(map(str, cells)) + " |"


def _weights(name: str) -> Iterator[tuple[str, str]]:
    """(source, licence stated there) of each source of a network's weights."""
    import timm
    from torchvision.models import get_model_weights

    if name in PACKAGES:
        package = PACKAGES[name].replace("_", "-")
        stated = metadata(package)["License"]
        yield f"package {package}", _licence(None if stated == "UNKNOWN" else stated)
    full = full_name(name)
    if "." not in full:
        similar = similar_with_weights(name)
        yield (f"none; timm `{full_name(similar)}` has" if similar else "none"), "–"
        return
    config: Any = timm.models.get_pretrained_cfg(full)
    if config.hf_hub_id:
        yield f"timm `{full}`", _licence(config.license)
    else:
        yield f"torchvision `{get_model_weights(name).DEFAULT}`", _licence(config.license)


def _licence(stated: str | None) -> str:
    return stated or "not stated"


if __name__ == "__main__":
    DOCUMENT.write_text(with_table(DOCUMENT.read_text()))
    print(DOCUMENT)
