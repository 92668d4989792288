"""What timm and albumentations offer, as generated files: names are checked without importing them.

`python -m trial.catalogue` makes them anew (some minutes); a test holds them against what is installed.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
NETWORKS, STEPS = HERE / "catalogue_networks.json", HERE / "catalogue_steps.json"
OPTIMIZERS = HERE / "catalogue_optimizers.json"
PROBED_SIZES = (16, 24, 32, 48, 64, 96, 128, 160, 192, 224, 256, 288, 320, 384, 448, 512)


@dataclass(frozen=True)
class Network:
    """`fixed`: the only (height, width) that it takes, or None; `least`: the smallest side that it takes;
    `tags`: its pretrained weights, the default first, none where there are none."""

    fixed: tuple[int, int] | None
    least: int
    tags: tuple[str, ...]


@cache
def networks() -> dict[str, Network]:
    """{timm's name: Network}, sorted."""
    read = json.loads(NETWORKS.read_text())
    return {n: Network(tuple(f) if f else None, least, tuple(tags)) for n, (f, least, tags) in read.items()}


@cache
def steps() -> dict[str, dict[str, Any]]:
    """{albumentations' name: {number: default}} ('required' where it has none)."""
    return json.loads(STEPS.read_text())


@cache
def optimizers() -> tuple[str, ...]:
    """timm's names of optimisers that need no other package, sorted."""
    return tuple(json.loads(OPTIMIZERS.read_text()))


def find_optimizers() -> Iterator[str]:
    """`optimizers()`, asked of the installed timm: those that can take a step here."""
    import torch
    from timm.optim import create_optimizer_v2, list_optimizers

    for name in list_optimizers():
        if name.startswith("kron"):  # it compiles itself
            continue
        network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
        try:
            optimizer = create_optimizer_v2(network.parameters(), name, lr=0.01, weight_decay=0.01)
            network(torch.ones(2, 3, 8, 8)).square().mean().backward()
            optimizer.step()
        except Exception:  # each says in its own way what it lacks
            continue
        yield name


def find_steps() -> dict[str, dict[str, Any]]:
    """`steps()`, asked of the installed albumentations: those on pixels of one photo, p last."""
    import inspect

    import albumentations

    found = {}
    for name in sorted(dir(albumentations)):
        kind = getattr(albumentations, name)
        bases = (albumentations.ImageOnlyTransform, albumentations.DualTransform)
        if inspect.isclass(kind) and issubclass(kind, bases) and kind not in bases:
            numbers = inspect.signature(kind).parameters.values()
            defaults = {n.name: "required" if n.default is n.empty else _plain(n.default) for n in numbers}
            if "metadata_key" not in defaults:  # those mix in other photos, which a policy hasn't got
                found[name] = defaults
    return found


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value, default=str))


def find_networks() -> Iterator[tuple[str, list[Any]]]:
    """(name, [fixed, least, tags]) of every network of the installed timm, probed without computing."""
    import timm

    for name in sorted(timm.list_models()):
        config = timm.models.get_pretrained_cfg(name)
        tags = sorted(t for t in _tags(name) if t)
        if config.tag in tags:
            tags.remove(config.tag)
            tags.insert(0, config.tag)
        fixed = list(config.input_size[1:]) if config.fixed_input_size else None
        yield name, [fixed, min(fixed) if fixed else least_size(name), tags]


def _tags(name: str) -> list[str]:
    from timm.models import list_pretrained

    return [full.partition(".")[2] for full in list_pretrained(name + ".*")]


def least_size(name: str) -> int:
    """The smallest square of PROBED_SIZES whose forward pass has shapes that fit, on torch's meta device."""
    import timm
    import torch

    with torch.device("meta"):
        network = timm.create_model(name, num_classes=18).eval()
        for size in PROBED_SIZES:
            try:
                network(torch.empty(2, 3, size, size))
                return size
            except (RuntimeError, AssertionError, ValueError, ZeroDivisionError):
                continue
    return timm.models.get_pretrained_cfg(name).input_size[1]


def generate() -> None:
    """Write the files, a line a name."""
    OPTIMIZERS.write_text(json.dumps(list(find_optimizers()), indent=0) + "\n")
    for path, entries in ((STEPS, find_steps().items()), (NETWORKS, find_networks())):
        lines = [f"{json.dumps(name)}: {json.dumps(entry)}" for name, entry in entries]
        path.write_text("{\n" + ",\n".join(lines) + "\n}\n")
        print(path)


if __name__ == "__main__":
    generate()
