"""What timm (with trial/models/other_networks.py) and albumentations offer, read from generated files, so
that names are checked without importing either.

`python -m tools.make_catalogue` generates them (up to an hour); a test compares them with what is installed.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from common.errors import unknown
from common.image_size import Size
from trial.aliases import current_field
from trial.models.repositories import FORM, repository_of

HERE = Path(__file__).parent
NETWORKS, STEPS = HERE / "catalogue_networks.json", HERE / "catalogue_steps.json"
OPTIMIZERS = HERE / "catalogue_optimizers.json"


@dataclass(frozen=True)
class Network:
    """What a network accepts. `fixed`: the (height, width) that it is built for, None if it has no size of
    its own. `multiple`: of what its sides must be multiples; 0 if any will do, or, with `fixed`, if it can't
    be built for another size. `min_side`: its smallest side, in pixels. `tags`: of its pretrained weights,
    the default first; empty without any. `ends`: the number of its last layers, in the file if it is not
    1."""

    fixed: Size | None
    multiple: int
    min_side: int
    tags: tuple[str, ...]
    ends: int = 1


@cache
def networks() -> dict[str, Network]:
    """{name: Network}, sorted."""
    read = json.loads(NETWORKS.read_text())
    return {
        name: Network(tuple(fixed) if fixed else None, multiple, min_side, tuple(tags), *ends)
        for name, (fixed, multiple, min_side, tags, *ends) in read.items()
    }


def plain(name: str) -> str:
    """A network's name without the tag of its weights, or the revision of a repository."""
    return name.partition("@" if repository_of(name) else ".")[0]


def read_model(value: Any, errors: list[str]) -> str:
    """`value` (the names of networks joined by +) as text; messages about mistakes are added to `errors`.

    Of a repository only the form is checked: it need not be on this machine.
    """
    if "," in str(value):
        errors.append(f"model={value}: networks to be trained as one are joined by +")
        return str(value)
    for member in str(value).split("+"):
        if repository_of(member):
            continue
        if "/" in member or ":" in member:
            errors.append(f"model={member}: a repository of Hugging Face's hub is named {FORM}")
            continue
        name, _, tag = member.partition(".")
        network = networks().get(name)
        if network is None:
            errors.append(unknown("model", name, networks()))
        elif tag and tag not in network.tags:
            errors.append(unknown(f"weights tag of {name}", tag, network.tags))
    return str(value)


def model_fields(value: Any, errors: list[str] | None = None) -> dict[str, Any]:
    """The fields that a value of `model` (or an option for it in a space) sets: a mapping sets others too.
    They have today's names; if one is given by an earlier name as well, a message is added to `errors`.

    'resnet34' -> {"model": "resnet34"}; {"_name": "resnet34", "weights": "none"} -> {"model": "resnet34",
    "weights": "none"}. In a search space the value of such a field is a mapping with `_type` and `_value`.
    """
    if not isinstance(value, Mapping):
        return {"model": value}
    set_by_it = {"model": value.get("_name")}
    for key, inner in value.items():
        if key == "_name":
            continue
        name = current_field(str(key))
        if name in set_by_it and errors is not None:
            errors.append(f"{name} is given twice inside model={value.get('_name')}, by its earlier name too")
        set_by_it[name] = inner
    return set_by_it


@cache
def steps() -> dict[str, dict[str, Any]]:
    """{albumentations' name: {parameter: default}}; 'required' for a parameter without a default."""
    return json.loads(STEPS.read_text())


@cache
def optimizers() -> dict[str, str]:
    """{timm's name: its description} of the optimizers that need no other package, sorted."""
    return json.loads(OPTIMIZERS.read_text())
