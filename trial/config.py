"""TrialConfig: one frozen dataclass is the run. `parse` gives it, or every mistake at once."""

import os
import re
import shlex
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from dataset.errors import CallersMistake
from trial.catalogue import Network, networks
from trial.choice import Choice, Registry, choose, typed, unknown
from trial.losses import LOSSES
from trial.mixing import MIXINGS
from trial.optim import OPTIMIZERS, SCHEDULES
from trial.policies import Policy, parse_policy
from trial.weights import missing

CHOICES: dict[str, Registry] = {
    "loss": LOSSES, "mixing": MIXINGS, "optimizer": OPTIMIZERS, "schedule": SCHEDULES,
}  # fmt: skip
NO_DATA = (
    "data={data}: no such folder. Link your photos: ln -s /path/to/set input; "
    "or draw some: python -m dataset synthetic --people 60 --out input"
)
PLACES = ("data", "out", "device", "workers", "threads", "compile", "cache_limit")


@dataclass(frozen=True)
class TrialConfig:
    """A recipe (what is trained) and where it runs (PLACES). Defaults are the seed project's."""

    model: str = "resnet34"
    weights: str = "hub"
    image_size: tuple[int, int] = (512, 384)  # height, width
    optimizer: Choice = Choice("adam")
    learning_rate: float = 1e-4
    weight_decay: float = 0.0
    schedule: Choice = Choice("constant")
    batch_size: int = 64
    loss: Choice = Choice("cross_entropy")
    augment: Policy = Policy("none")
    mixing: Choice = Choice("none")
    epochs: int = 20
    patience: int = 0  # epochs without a better macro-F1 before it ends; 0: never
    train_share: float = 1.0  # of the training people: a cheap look at a recipe; retraining takes all
    fold: int = 0
    folds: int = 5
    seed: int = 0
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    corrections: str = ""  # 'competition' or a CSV of known label errors
    data: str = "input"
    out: str = ""  # the run folder; '': out/runs/TIME, or NNI's trial folder
    device: str = "auto"
    workers: int = -1  # processes for steps on photos; -1: none on the CPU, 4 with a GPU
    threads: int = 0  # of torch; 0: as many as cores, shared by an experiment's trials
    compile: bool = False  # torch.compile: some minutes at the start, then faster steps
    cache_limit: float = 20.0  # GiB of decoded photos in out/cache; over it they are decoded each time

    def to_json(self) -> dict[str, Any]:
        """Every field in plain JSON; `parse` takes it back."""
        return {f.name: _plain(getattr(self, f.name)) for f in fields(self)}

    def recipe(self) -> dict[str, Any]:
        """`to_json` without the PLACES: what makes this run what it is."""
        return {name: value for name, value in self.to_json().items() if name not in PLACES}


FIELDS = {f.name: f for f in fields(TrialConfig)}
SIGNS = {
    "learning_rate": "above 0", "batch_size": "2 or more", "epochs": "1 or more", "train_share": "above 0",
    "folds": "2 or more", "weight_decay": "0 or more", "patience": "0 or more",
    "fold": "0 or more", "seed": "0 or more",
    "threads": "0 or more", "workers": "-1 or more", "cache_limit": "0 or more",
}  # fmt: skip


def parse(values: Mapping[str, Any], present: bool = True) -> TrialConfig:
    """The config of `values` ({field: JSON value}); CallersMistake holds every mistake.

    With `present`, the weights and corrections that it names must be on this machine.
    """
    faults: list[str] = []
    values = _spread(values, faults)
    good = {}
    for name, value in values.items():
        if name not in FIELDS:
            faults.append(unknown("key", name, FIELDS))
            continue
        before = len(faults)
        read = _read(name, value, faults)
        if len(faults) == before:
            good[name] = read
    defaults = {n: _read(n, getattr(TrialConfig(), n), faults) for n in CHOICES}
    config = replace(TrialConfig(), **{**defaults, **good})
    faults += _impossible(config, values.keys() - good.keys())
    if present:
        if "model" in good or "model" not in values:
            faults += missing(config.model, config.weights)
        if config.compile and not any(map(shutil.which, ("g++", "clang++", *_named_compilers()))):
            faults.append("compile=true needs a compiler (Debian, Ubuntu: apt install g++); or leave it out")
        if config.corrections not in ("", "competition") and not Path(config.corrections).is_file():
            faults.append(f"corrections={config.corrections}: no such file; 'competition' is the shipped one")
    if faults:
        raise CallersMistake(faults)
    return config


def _named_compilers() -> list[str]:
    """What CC and CXX name: torch.compile heeds them."""
    return [shlex.split(os.environ[name])[0] for name in ("CC", "CXX") if os.environ.get(name)]


def size_text(size: tuple[int, int]) -> str:
    """(512, 384) -> '512x384', height x width."""
    return f"{size[0]}x{size[1]}"


def _plain(value: Any) -> Any:
    if isinstance(value, Choice | Policy):
        return value.to_json()
    return size_text(value) if isinstance(value, tuple) else value


def _spread(values: Mapping[str, Any], faults: list[str]) -> dict[str, Any]:
    """A model that carries its weights, `{"_name": "resnet34", "weights": "none"}`, as two fields."""
    spread = dict(values)
    model = spread.get("model")
    if isinstance(model, Mapping):
        spread["model"] = model.get("_name")
        for key in model.keys() - {"_name"}:
            if key in values:
                faults.append(f"{key} is given twice: beside model and inside it")
            spread[key] = model[key]
    return spread


def _read(name: str, value: Any, faults: list[str]) -> Any:
    """The field's value in the field's type."""
    if name in CHOICES:
        return choose(name, value, CHOICES[name], faults)
    if name == "augment":
        return parse_policy(value, faults)
    if name == "image_size":
        return _read_size(value, faults)
    if name == "model":
        return read_model(value, faults)
    try:
        value = typed(value, FIELDS[name].type)
    except ValueError as error:
        faults.append(f"{name}: {error}")
        return None
    if name in SIGNS:
        least = SIGNS[name].split()[0]
        if value <= 0 if least == "above" else value < int(least):
            faults.append(f"{name}={value} must be {SIGNS[name]}")
    return value


def read_model(value: Any, faults: list[str]) -> str:
    name, _, tag = str(value).partition(".")
    network = networks().get(name)
    if network is None:
        faults.append(unknown("model", name, networks()))
    elif tag and tag not in network.tags:
        faults.append(unknown(f"weights tag of {name}", tag, network.tags))
    return str(value)


def _read_size(value: Any, faults: list[str]) -> tuple[int, int] | None:
    parts = value if isinstance(value, list | tuple) else str(value).lower().split("x")
    try:
        height, width = (int(part) for part in parts)
        if min(height, width) < 1:
            raise ValueError
        return height, width
    except (ValueError, TypeError):
        faults.append(f"image_size={value!r}: must be height x width in pixels, such as 512x384")
        return None


def _impossible(config: TrialConfig, unread: Iterable[str]) -> list[str]:
    """Combinations that can't be, of the fields that could be read."""
    faults = []
    if config.train_share > 1:
        faults.append(f"train_share={config.train_share}: is a share of the people, above 0 and at most 1")
    if config.fold >= config.folds and not {"fold", "folds"} & set(unread):
        faults.append(f"fold={config.fold}: must be below folds={config.folds}")
    if not {"model", "image_size"} & set(unread):
        faults += _size_faults(networks()[config.model.partition(".")[0]], config)
    if config.precision == "float16" and config.device == "cpu":
        faults.append("precision=float16 needs a GPU; on the CPU use bfloat16 or float32")
    if config.seed >= 2**32:
        faults.append(f"seed={config.seed}: must be below {2**32}")
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", config.device):
        faults.append(unknown("device", config.device, ("auto", "cpu", "cuda", "cuda:0", "mps")))
    return faults


def _size_faults(network: Network, config: TrialConfig) -> list[str]:
    size = size_text(config.image_size)
    if network.fixed and config.image_size != network.fixed:
        return [f"image_size={size}: {config.model} takes only {size_text(network.fixed)}"]
    if min(config.image_size) < network.least:
        return [f"image_size={size}: {config.model} needs at least {network.least} each way"]
    return []
