"""Generate the files of trial/catalogue.py from the installed timm and albumentations (up to an hour).

python -m tools.make_catalogue
"""

import json
import sys
from collections.abc import Iterator
from typing import Any

from trial.catalogue import NETWORKS, OPTIMIZERS, STEPS
from trial.models.factory import CLASSIFIERS

MULTIPLES = (1, 2, 4, 7, 8, 14, 16, 28, 32, 64, 128, 224, 256)
PROBED_SIZES = (16, 24, 32, 48, 64, 96, 128, 160, 192, 224, 256, 288, 320, 384, 448, 512)


def find_optimizers() -> Iterator[tuple[str, str]]:
    """(name, description) of the installed timm's optimizers that can take a step here."""
    import torch
    from timm.optim import create_optimizer_v2, get_optimizer_info, list_optimizers

    for name in list_optimizers():
        if name.startswith("kron"):  # it compiles itself
            continue
        network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
        try:
            optimizer = create_optimizer_v2(network.parameters(), name, lr=0.01, weight_decay=0.01)
            network(torch.ones(2, 3, 8, 8)).square().mean().backward()
            optimizer.step()
        except Exception as error:  # for a missing package each raises its own kind
            print(f"{name}: left out ({type(error).__name__}: {error})", file=sys.stderr)
            continue
        yield name, get_optimizer_info(name).description


def find_steps() -> dict[str, dict[str, Any]]:
    """The entries of `trial.catalogue.steps`: albumentations' transforms of the pixels of one photo."""
    import inspect

    import albumentations

    found = {}
    for name in sorted(dir(albumentations)):
        kind = getattr(albumentations, name)
        bases = (albumentations.ImageOnlyTransform, albumentations.DualTransform)
        if inspect.isclass(kind) and issubclass(kind, bases) and kind not in bases:
            params = inspect.signature(kind).parameters.values()
            defaults = {p.name: "required" if p.default is p.empty else _plain(p.default) for p in params}
            if "metadata_key" not in defaults:  # those mix in other photos, which a policy doesn't have
                found[name] = defaults
    return found


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value, default=str))


def find_networks() -> Iterator[tuple[str, list[Any]]]:
    """(name, [fixed, multiple, min_side, tags]) of every classifier of timm, for `trial.catalogue.networks`;
    `ends` follows if it is not 1.

    Sizes are found on torch's meta device, without computing. Encoders of language models are left out.
    """
    import timm

    import trial.models.other_networks  # noqa: F401 - registers them with timm

    for name in sorted(timm.list_models(exclude_filters="*_enc")):
        config = timm.models.get_pretrained_cfg(name)
        tags = sorted(t for t in _tags(name) if t)
        if config.tag in tags:
            tags.remove(config.tag)
            tags.insert(0, config.tag)
        many = ends(name)
        last = [many] if many > 1 else []
        if config.fixed_input_size:
            fixed = config.input_size[1:]
            multiple, min_side = other_sizes(name, fixed) or (0, min(fixed))
            yield name, [list(fixed), multiple, min_side, tags, *last]
        else:
            min_side = find_min_side(name)
            yield name, [None, find_multiple(name, min_side), min_side, tags, *last]


def ends(name: str) -> int:
    """The number of a network's last layers."""
    from timm.models import get_pretrained_cfg

    layers = CLASSIFIERS.get(name) or get_pretrained_cfg(name).classifier
    return 1 if isinstance(layers, str) else len(layers)


def _tags(name: str) -> list[str]:
    from timm.models import list_pretrained

    return [full.partition(".")[2] for full in list_pretrained(name + ".*")]


def find_min_side(name: str) -> int:
    """The side of the smallest square of PROBED_SIZES that the network accepts, on torch's meta device."""
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


def find_multiple(name: str, min_side: int) -> int:
    """The smallest of MULTIPLES of which a network that has no size of its own takes any multiples as sides,
    on torch's meta device; 0 if it takes any side."""
    import timm
    import torch

    with torch.device("meta"):
        network = timm.create_model(name, num_classes=18).eval()
        for multiple in MULTIPLES:
            least = -(-max(min_side, 64) // multiple)
            try:
                for rows, columns in ((1, 2), (6, 3), (4, 9)):
                    network(torch.empty(2, 3, (least + rows) * multiple, (least + columns) * multiple))
                return multiple if multiple > 1 else 0
            except Exception:
                continue  # each family raises its own kind of error
    raise ValueError(f"{name}: takes no multiples of {MULTIPLES[-1]}")


def other_sizes(name: str, fixed: tuple[int, int]) -> tuple[int, int] | None:
    """(multiple, min_side) of a network built for the size `fixed`; None if it can't be built for other sizes
    with the weights of that size. `multiple` is a multiple of its patch, so that no pixel is left out."""
    import timm
    import torch

    with torch.device("meta"):
        network = timm.create_model(name)
    weights = network.state_dict() if _tags(name) else None
    embed = getattr(network, "patch_embed", None)
    patch = embed.feat_ratio() if hasattr(embed, "feat_ratio") else 16
    for multiple in (patch, 2 * patch, 4 * patch, 8 * patch):
        about = max(fixed) // multiple
        if all(_fits(name, weights, multiple, about + n, about + n + 1) for n in (1, 2, 3)):
            for n in range(1, about + 1):
                if _fits(name, weights, multiple, n, n) and _fits(name, weights, multiple, n, n + 1):
                    return multiple, n * multiple
    return None


def _fits(name: str, weights: dict[str, Any] | None, multiple: int, rows: int, columns: int) -> bool:
    """Whether `name` can be built for a size of (rows, columns) times `multiple`, load `weights`, and run."""
    import timm
    import torch

    size = (rows * multiple, columns * multiple)
    try:
        with torch.device("meta"):
            network = timm.create_model(
                name,
                num_classes=18,
                img_size=size,
                pretrained=weights is not None,
                pretrained_cfg_overlay={"state_dict": dict(weights)} if weights else None,
            )
            return network.eval()(torch.empty(2, 3, *size)).shape == (2, 18)
    except Exception:
        return False  # each family raises its own kind of error


def generate() -> None:
    """Write the files, one name per line."""
    OPTIMIZERS.write_text(json.dumps(dict(find_optimizers()), indent=0) + "\n")
    for path, entries in ((STEPS, find_steps().items()), (NETWORKS, find_networks())):
        lines = [f"{json.dumps(name)}: {json.dumps(entry)}" for name, entry in entries]
        path.write_text("{\n" + ",\n".join(lines) + "\n}\n")
        print(path)


if __name__ == "__main__":
    generate()
