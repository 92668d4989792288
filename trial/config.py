"""TrialConfig, the frozen dataclass of all that a run needs; `parse` returns one, or raises all errors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from math import inf
from typing import Annotated, Any, Literal

from common.errors import UsageError, unknown
from common.image_size import Size, read_size, size_text
from dataset.crops import CROPS
from dataset.face_masks import borders
from dataset.task import Task
from trial import aliases
from trial.augment.mixing import MIXINGS
from trial.augment.policies import Policy, parse_policy
from trial.catalogue import model_fields, read_model
from trial.choice import Choice, Registry, choose_or_default, default_choice, params_of, typed
from trial.constraints import COMBINATIONS, WITHOUT_EFFECT, violations
from trial.data.sampling import COPIES, SAMPLERS
from trial.data.views import FEATURES
from trial.learning.freezing import FREEZES
from trial.learning.inits import INITS
from trial.learning.losses import LOSSES
from trial.learning.optimizers import OPTIMIZERS
from trial.learning.resizing import RESIZINGS
from trial.learning.schedules import SCHEDULES
from trial.learning.teachers import TEACHERS
from trial.metrics import DEFAULT, METRICS
from trial.models.heads import HEADS
from trial.requirements import FOR_TASK, ON_THIS_MACHINE, world_errors

CHOICES: dict[str, Registry] = {
    "head": HEADS, "init": INITS, "features": FEATURES, "freeze": FREEZES, "crop": CROPS,
    "optimizer": OPTIMIZERS, "schedule": SCHEDULES, "loss": LOSSES, "mixing": MIXINGS, "sampler": SAMPLERS,
    "resizing": RESIZINGS, "teacher": TEACHERS,
    "borders": borders.BORDERS, "copies": COPIES,
}  # fmt: skip
NO_DATA = (
    "data={data}: no such folder. Link your photos: ln -s /path/to/set input; "
    "or draw some: python -m dataset synthetic --people 60 --out input"
)
NO_OUT = "out={out}: a trial of an experiment records in NNI's folder of it; leave it out"
PLACES = ("data", "out", "device", "workers", "threads", "compile", "cache_limit", "pixels")


def _field(default: Any, description: str) -> Any:
    """A field with the line that --list and --help print for it."""
    return field(default=default, metadata={"description": description})


@dataclass(frozen=True)
class TrialConfig:
    """A recipe (what is trained) and where it runs (PLACES).

    The defaults are plain: the baseline's network, image size and optimizer (the baseline's whole recipe is
    recipes/baseline_resnet34.json).
    """

    model: str = _field("resnet34", "timm's name or hf-hub:ORG/NAME; several joined by + train as one")
    join: Literal["logits", "features"] = _field(
        "logits", "what the last layer of several networks sees of each: its logits, or its features"
    )
    weights: str = _field(
        "hub",
        "pretrained weights: hub (fetched before), package, none, a file or a folder; one for each with +",
    )
    head: Choice = _field(default_choice(HEADS, "classes"), "output layer of the network")
    init: Choice = _field(default_choice(INITS, "random"), "what the output layer starts from")
    features: Choice = _field(
        default_choice(FEATURES, "none"), "train only the output layer, on cached features of the rest"
    )
    freeze: Choice = _field(default_choice(FREEZES, "none"), "layers that are frozen in the first epochs")
    layer_decay: Annotated[float, (0.01, 1)] = _field(
        1.0, "learning rate relative to the layer above; below 1 norms and biases have no weight decay"
    )
    stem_decay: Annotated[float, (0.0001, 1)] = _field(
        1.0, "learning rate of the lowest layer relative to the head; chooses layer_decay by the depth"
    )
    crop: Choice = _field(default_choice(CROPS, "none"), "part of the photo that the network sees")
    image_size: Size = _field((512, 384), "height x width in pixels, after cropping")
    resizing: Choice = _field(
        default_choice(RESIZINGS, "none"), "size of the photos in the first epochs of training"
    )
    optimizer: Choice = _field(
        default_choice(OPTIMIZERS, "adam"), "optimizer: torch's own, or one of timm's by its name there"
    )
    learning_rate: Annotated[float, (0, inf)] = _field(1e-4, "learning rate, times the schedule's factor")
    weight_decay: Annotated[float, (0, inf)] = _field(0.0, "weight decay of the optimizer")
    schedule: Choice = _field(
        default_choice(SCHEDULES, "constant"), "how the learning rate changes over the epochs"
    )
    batch_size: Annotated[int, (2, inf)] = _field(64, "photos per batch; batch normalisation can't take one")
    accumulate: Annotated[int, (1, inf)] = _field(1, "batches whose gradients make one optimizer step")
    clip_norm: Annotated[float, (0, inf)] = _field(0.0, "maximum norm of the gradient; 0 = no clipping")
    ema: Annotated[float, (0, 0.99999)] = _field(
        0.0, "EMA decay per step, bias-corrected; the averaged weights are validated and saved; 0 = off"
    )
    loss: Choice = _field(default_choice(LOSSES, "cross_entropy"), "loss function")
    teacher: Choice = _field(
        default_choice(TEACHERS, "none"), "predictions of other networks, mixed with the labels"
    )
    augment: Policy = _field(Policy("none"), "augmentation policy: a name, or a list of steps")
    mixing: Choice = _field(default_choice(MIXINGS, "none"), "how photos of a batch are mixed")
    sampler: Choice = _field(
        default_choice(SAMPLERS, "uniform"), "how often an epoch draws each training photo"
    )
    borders: Choice = _field(default_choice(borders.BORDERS, "keep"), borders.ABOUT)
    copies: Choice = _field(default_choice(COPIES, "none"), "generated training photos of the rare classes")
    pseudo_labels: str = _field(
        "",
        "CSV of predicted classes of eval photos, to be trained on, too (analysis pseudo-labels); '' = none",
    )
    epochs: Annotated[int, (1, inf)] = _field(20, "number of epochs, over which the schedule runs")
    patience: Annotated[int, (0, inf)] = _field(
        0, "stop after this many epochs without a better patience_on; 0 = never"
    )
    patience_on: Literal["score", "validation_loss"] = _field(
        "score", "what patience monitors; score: by metric"
    )
    metric: str = _field(DEFAULT, "score that the best epoch and the best trial are chosen by")
    train_fraction: Annotated[float, (0.001, 1)] = _field(
        1.0, "fraction of the training groups, for a cheap look at a recipe; retraining takes all"
    )
    fold: int | Literal["all"] = _field(0, "fold held out for validation; all = a network for each fold")
    folds: Annotated[int, (2, inf)] = _field(5, "number of folds that the groups are split into")
    fold_order: Literal["lockstep", "one_by_one"] = _field(
        "lockstep", "of fold=all: epoch by epoch side by side, or one by one, which needs less memory"
    )
    seed: Annotated[int, (0, 2**32 - 1)] = _field(0, "random seed of folds, initial weights and all draws")
    precision: Literal["auto", "float32", "bfloat16", "float16"] = _field(
        "auto", "dtype of the network's computations (autocast)"
    )
    corrections: str = _field("", "'competition' or a CSV of known label errors; '' = none")
    data: str = _field("input", "folder of the photos")
    group: str = _field(
        "",
        "whose photo each is: a column of photos.csv, or a regular expression on the path; '' = column group",
    )
    out: str = _field("", "run folder; '' = out/runs/TIME, or NNI's trial folder")
    device: str = _field("auto", "auto, cpu, cuda, cuda:N or mps; auto: a GPU if there is one")
    workers: Annotated[int, (-1, inf)] = _field(
        -1, "processes for augmentation steps on photos; -1 = none on the CPU, 4 with a GPU"
    )
    threads: Annotated[int, (0, inf)] = _field(
        0, "torch's threads; 0 = all cores, shared by the trials of an experiment"
    )
    compile: bool | Literal["graphs"] = _field(
        False, "torch.compile: minutes at the start, then faster steps; graphs: by CUDA graphs, too"
    )
    cache_limit: Annotated[float, (0, inf)] = _field(
        20.0, "GiB of decoded photos in out/cache; photos over it are decoded each epoch"
    )
    pixels: Literal["auto", "device", "host"] = _field(
        "auto",
        "place of decoded photos; auto: the GPU, if they fit into a quarter of its free memory",
    )

    @property
    def trains_on_features(self) -> bool:
        """Whether only the last layer is trained, on features that the rest of the network makes once."""
        return self.features.name != "none"

    @property
    def fold_numbers(self) -> Sequence[int]:
        """The folds that are trained, a network each."""
        return range(self.folds) if self.fold == "all" else (self.fold,)

    @property
    def reports_folds(self) -> bool:
        """Whether the tuner hears of folds, one by one, not of epochs."""
        return self.fold == "all" and self.fold_order == "one_by_one"

    @property
    def names_labels(self) -> bool:
        """Whether a file or another run corrects or adds labels."""
        return bool(self.corrections or self.pseudo_labels or self.teacher.name != "none")

    @property
    def needs_features(self) -> bool:
        """Whether features of all photos are computed before the training: for it, or for its start."""
        return self.trains_on_features or self.init.name != "random"

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON values; `parse` reads them back."""
        return {f.name: _plain(getattr(self, f.name)) for f in fields(self)}

    def recipe(self) -> dict[str, Any]:
        """`to_json` without the PLACES: what is trained, without where."""
        return {name: value for name, value in self.to_json().items() if name not in PLACES}


FIELDS = {f.name: f for f in fields(TrialConfig)}
WORDS: dict[str, tuple[Any, str]] = {"fold": (int, "all"), "compile": (bool, "graphs")}  # or this word


def parse(values: Mapping[str, Any], present: bool = True) -> TrialConfig:
    """The config of `values` ({field: JSON value}). UsageError holds all errors.

    With `present` it is to be trained here: the files and packages that it needs must be on this machine, and
    values that have no effect are refused.
    """
    errors: list[str] = []
    values = spread(values, errors)
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
    readable = {name: getattr(config, name) for name in FIELDS if name not in values or name in good}
    checks = COMBINATIONS + (WITHOUT_EFFECT + ON_THIS_MACHINE if present else ())
    errors += violations(checks, readable)
    if errors:
        raise UsageError(errors)
    return config


def effect_errors(config: TrialConfig) -> list[str]:
    """Values of `config` that have no effect beside its others."""
    return violations(WITHOUT_EFFECT, {name: getattr(config, name) for name in FIELDS})


def task_errors(config: TrialConfig, task: Task) -> list[str]:
    """What `config` asks for that the task does not have."""
    return violations(FOR_TASK, {name: getattr(config, name) for name in FIELDS} | {"task": task})


def refuse_together(config: TrialConfig, world: int) -> None:
    """UsageError if `world` processes can't train `config` together on this machine."""
    errors = violations((world_errors,), {name: getattr(config, name) for name in FIELDS} | {"world": world})
    if errors:
        raise UsageError(errors)


def _plain(value: Any) -> Any:
    if isinstance(value, Choice | Policy):
        return value.to_json()
    return size_text(value) if isinstance(value, tuple) else value


def spread(values: Mapping[str, Any], errors: list[str]) -> dict[str, Any]:
    """`values` by today's names of the fields; those inside a model are set beside it (`model_fields`).
    Messages about fields that are given twice are added to `errors`."""
    given = {}
    for name, value in values.items():
        if not isinstance(name, str):
            errors.append(f"{name!r} is not the name of a key")
            continue
        current = aliases.current_field(name)
        if current in given:
            errors.append(f"{current} is given twice, by its earlier name too")
        given[current] = value
    if "model" in given:
        own = model_fields(given.pop("model"), errors)
        errors += [f"{name} is given twice: beside model and inside it" for name in own if name in given]
        given = own | given
    return given


def _unknown_key(name: str) -> str:
    """As `unknown`; for a parameter of a choice (dropout, gamma, warmup) it names the choice."""
    if name == "tta":
        return "tta is not a part of a recipe, but an option of predicting: --tta flip"
    owners = [field for field, known in CHOICES.items() if any(name in params_of(b) for b in known.values())]
    if not owners:
        return unknown("key", name, FIELDS)
    written = " or ".join(f"{owner}.{name}" for owner in owners)
    return f"unknown key '{name}'; it is a parameter of a choice: {written}"


def _read(name: str, value: Any, errors: list[str]) -> Any:
    """The value in the field's type; messages about mistakes are added to `errors`."""
    if name in CHOICES:
        default = getattr(TrialConfig(), name).name
        return choose_or_default(name, value, CHOICES[name], default, errors)
    if name == "augment":
        return parse_policy(value, errors)
    if name == "image_size":
        return read_size(value, errors)
    if name == "model":
        return read_model(value, errors)
    if name == "metric" and value not in list(METRICS):  # which may be unhashable
        errors.append(unknown("metric", value, METRICS))
        return None
    kind, word = WORDS.get(name, (FIELDS[name].type, None))
    if word and value == word:
        return value
    try:
        return typed(aliases.current_name(name, value), kind)
    except ValueError as error:
        errors.append(f"{name}: {error}" + (f", nor '{word}'" if word else ""))
        return None
