"""TrialConfig: one frozen dataclass is the run. `parse` gives it, or every mistake at once."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from math import inf
from typing import Annotated, Any, Literal

from common.errors import UsageError, unknown
from common.image_size import read_size, size_text
from trial import aliases
from trial.augment.mixing import MIXINGS
from trial.augment.policies import Policy, parse_policy
from trial.catalogue import read_model
from trial.choice import Choice, Registry, choose_or_default, params_of, plain, typed
from trial.constraints import absent, impossible
from trial.data.crops import CROPS
from trial.data.sampling import BORDERS, COPIES, SAMPLERS
from trial.learning.losses import LOSSES
from trial.learning.optimizers import OPTIMIZERS
from trial.learning.param_groups import FREEZES
from trial.learning.schedules import SCHEDULES
from trial.models.heads import HEADS

CHOICES: dict[str, Registry] = {
    "head": HEADS, "freeze": FREEZES, "crop": CROPS, "optimizer": OPTIMIZERS, "schedule": SCHEDULES,
    "loss": LOSSES, "mixing": MIXINGS, "sampler": SAMPLERS, "borders": BORDERS, "copies": COPIES,
}  # fmt: skip
NO_DATA = (
    "data={data}: no such folder. Link your photos: ln -s /path/to/set input; "
    "or draw some: python -m dataset synthetic --people 60 --out input"
)
PLACES = ("data", "out", "device", "workers", "threads", "compile", "cache_limit")


@dataclass(frozen=True)
class TrialConfig:
    """A recipe (what is trained) and where it runs (PLACES). Defaults are plain: the baseline's network,
    size and optimiser (its whole recipe: recipes/baseline_resnet34.json)."""

    model: str = "resnet34"  # several, joined by '+', are trained together as one
    weights: str = "hub"
    head: Choice = plain(HEADS, "classes")
    freeze: Choice = plain(FREEZES, "none")
    layer_decay: Annotated[float, (0.01, 1)] = 1.0  # a layer learns this times as fast as the one above it
    crop: Choice = plain(CROPS, "none")
    image_size: tuple[int, int] = (512, 384)  # height, width
    optimizer: Choice = plain(OPTIMIZERS, "adam")
    learning_rate: Annotated[float, (1e-9, inf)] = 1e-4
    weight_decay: Annotated[float, (0, inf)] = 0.0
    schedule: Choice = plain(SCHEDULES, "constant")
    batch_size: Annotated[int, (2, inf)] = 64  # batch normalisation can't take one
    accumulate: Annotated[int, (1, inf)] = 1  # batches whose gradients make one step
    clip_norm: Annotated[float, (0, inf)] = 0.0  # the most that the gradient's norm may be; 0: anything
    # EMA decay per step, bias-corrected; the averaged weights are validated and saved. 0: off
    ema: Annotated[float, (0, 0.99999)] = 0.0
    loss: Choice = plain(LOSSES, "cross_entropy")
    augment: Policy = Policy("none")
    mixing: Choice = plain(MIXINGS, "none")
    sampler: Choice = plain(SAMPLERS, "uniform")
    borders: Choice = plain(BORDERS, "keep")  # ages next to 30 and 60, in training only
    copies: Choice = plain(COPIES, "none")  # of people of 60 and over, in training only
    epochs: Annotated[int, (1, inf)] = 20
    patience: Annotated[int, (0, inf)] = 0  # epochs without a better `patience_on` before it ends; 0: never
    patience_on: Literal["macro_f1", "validation_loss"] = "macro_f1"
    # Of the training people: a cheap look at a recipe. Retraining takes all.
    train_fraction: Annotated[float, (0.001, 1)] = 1.0
    fold: int | Literal["all"] = 0  # all: every fold in this one trial, each with a network of its own
    folds: Annotated[int, (2, inf)] = 5
    fold_order: Literal["lockstep", "one_by_one"] = "lockstep"  # of fold=all; one_by_one needs less memory
    seed: Annotated[int, (0, 2**32 - 1)] = 0
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    corrections: str = ""  # 'competition' or a CSV of known label errors
    data: str = "input"
    out: str = ""  # the run folder; '': out/runs/TIME, or NNI's trial folder
    device: str = "auto"
    workers: Annotated[int, (-1, inf)] = -1  # for steps on photos; -1: none on the CPU, 4 with a GPU
    threads: Annotated[int, (0, inf)] = 0  # of torch; 0: as many as cores, shared by an experiment's trials
    compile: bool = False  # torch.compile: some minutes at the start, then faster steps
    # GiB of decoded photos in out/cache; over it they are decoded each time
    cache_limit: Annotated[float, (0, inf)] = 20.0

    def to_json(self) -> dict[str, Any]:
        """Every field in plain JSON; `parse` takes it back."""
        return {f.name: _plain(getattr(self, f.name)) for f in fields(self)}

    def members(self) -> list[str]:
        """The networks that `model` names."""
        return self.model.split("+")

    def recipe(self) -> dict[str, Any]:
        """`to_json` without the PLACES: what makes this run what it is."""
        return {name: value for name, value in self.to_json().items() if name not in PLACES}


FIELDS = {f.name: f for f in fields(TrialConfig)}


def parse(values: Mapping[str, Any], present: bool = True) -> TrialConfig:
    """The config of `values` ({field: JSON value}); UsageError holds every error.

    With `present`, the weights and corrections that it names must be on this machine.
    """
    errors: list[str] = []
    values = _spread(values, errors)
    good = {}
    for name, value in values.items():
        if name not in FIELDS:
            errors.append(_unknown_key(name))
            continue
        before = len(errors)
        read = _read(name, value, errors)
        if len(errors) == before:
            good[name] = read
    config = replace(TrialConfig(), **good)
    unread = values.keys() - good.keys()
    errors += impossible(config, unread)
    if present:
        errors += absent(config, unread)
    if errors:
        raise UsageError(errors)
    return config


def _plain(value: Any) -> Any:
    if isinstance(value, Choice | Policy):
        return value.to_json()
    return size_text(value) if isinstance(value, tuple) else value


def _spread(values: Mapping[str, Any], errors: list[str]) -> dict[str, Any]:
    """Today's field names; a model that carries its weights, `{"_name": "resnet34", "weights": "none"}`, as two
    fields."""
    spread = {}
    for name, value in values.items():
        today = aliases.FIELDS.get(name, name)
        if today in spread:
            errors.append(f"{today} is given twice: {name} is its name in earlier versions")
        spread[today] = value
    model = spread.get("model")
    if isinstance(model, Mapping):
        spread["model"] = model.get("_name")
        for key in model.keys() - {"_name"}:
            if key in values:
                errors.append(f"{key} is given twice: beside model and inside it")
            spread[key] = model[key]
    return spread


def _unknown_key(name: str) -> str:
    """As `unknown`; a parameter of a choice (dropout, gamma, warmup) is sent there."""
    if name == "tta":
        return "tta is no part of a recipe, but asked for when predicting: --tta flip"
    owners = [field for field, known in CHOICES.items() if any(name in params_of(b) for b in known.values())]
    if not owners:
        return unknown("key", name, FIELDS)
    written = " or ".join(f"{owner}.{name}" for owner in owners)
    return f"unknown key '{name}'; it is a parameter of a choice: {written}"


def _read(name: str, value: Any, errors: list[str]) -> Any:
    """The field's value in the field's type."""
    if name in CHOICES:
        default = getattr(TrialConfig(), name).name
        return choose_or_default(name, value, CHOICES[name], default, errors)
    if name == "augment":
        return parse_policy(value, errors)
    if name == "image_size":
        return read_size(value, errors)
    if name == "model":
        return read_model(value, errors)
    if name == "fold" and value == "all":
        return value
    try:
        return typed(value, int if name == "fold" else FIELDS[name].type)
    except ValueError as error:
        errors.append(f"{name}: {error}" + (", nor 'all'" if name == "fold" else ""))
        return None
