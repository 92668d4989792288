"""What timm (with trial/models/other_networks.py) and albumentations offer, as generated files, so that names
are checked without importing them.

`python -m tools.make_catalogue` makes them again (up to an hour); a test compares them with what is
installed.
"""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from common.errors import unknown

HERE = Path(__file__).parent
NETWORKS, STEPS = HERE / "catalogue_networks.json", HERE / "catalogue_steps.json"
OPTIMIZERS = HERE / "catalogue_optimizers.json"


@dataclass(frozen=True)
class Network:
    """`fixed`: the (height, width) that it is built for, None if it takes any; `multiple`: it can be built
    for other sizes whose sides are multiples of this, 0 if it can't; `least`: the smallest side; `tags`: its
    pretrained weights, the default first, () if it has none."""

    fixed: tuple[int, int] | None
    multiple: int
    least: int
    tags: tuple[str, ...]


@cache
def networks() -> dict[str, Network]:
    """{name: Network}, sorted."""
    read = json.loads(NETWORKS.read_text())
    return {
        name: Network(tuple(fixed) if fixed else None, multiple, least, tuple(tags))
        for name, (fixed, multiple, least, tags) in read.items()
    }


def read_model(value: Any, errors: list[str]) -> str:
    """The names of networks in `value`, joined by +; what is wrong goes to `errors`."""
    if "," in str(value):
        errors.append(f"model={value}: several networks, to be trained as one, are joined by +")
        return str(value)
    for member in str(value).split("+"):
        name, _, tag = member.partition(".")
        network = networks().get(name)
        if network is None:
            errors.append(unknown("model", name, networks()))
        elif tag and tag not in network.tags:
            errors.append(unknown(f"weights tag of {name}", tag, network.tags))
    return str(value)


@cache
def steps() -> dict[str, dict[str, Any]]:
    """{albumentations' name: {parameter: default}} ('required' if it has none)."""
    return json.loads(STEPS.read_text())


@cache
def optimizers() -> dict[str, str]:
    """{timm's name: its description} of the optimizers that need no other package, sorted."""
    return json.loads(OPTIMIZERS.read_text())
