"""Checks of a recipe's fields together: values that exclude each other, and those without an effect.

A check takes the fields that its parameters are named after, and returns messages. `violations` leaves out
the checks of fields that could not be read: those have their own error already.
"""

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from common.errors import errors_of, unknown
from common.image_size import Size, size_text
from trial.augment.policies import Policy
from trial.catalogue import Network
from trial.choice import Choice, Registry, default_choice
from trial.learning.freezing import FREEZES
from trial.learning.inits import INITS
from trial.learning.resizing import RESIZINGS
from trial.learning.teachers import TEACHERS
from trial.models.weights import network_of

MOVES_AT_0 = ("madgrad", "madgradw")  # timm's add 1e-6 to every learning rate
NO_FLOAT16 = "precision=float16 needs a GPU; on the CPU use bfloat16 or float32"
Check = Callable[..., list[str]]


def violations(checks: Sequence[Check], fields: Mapping[str, Any]) -> list[str]:
    """The errors of all `checks` whose parameters are among `fields` ({name: value})."""
    errors = []
    for check in checks:
        needed = inspect.signature(check).parameters
        if needed.keys() <= fields.keys():
            errors += check(**{name: fields[name] for name in needed})
    return errors


def fold_errors(fold: int | str, folds: int) -> list[str]:
    """The fold is one of the folds, or all."""
    if fold == "all" or fold in range(folds):
        return []
    return [f"fold={fold}: must be from 0 to {folds - 1} (folds={folds}), or all"]


def fold_order_errors(fold_order: str, fold: int | str) -> list[str]:
    """An order of folds needs several folds."""
    if fold_order == "lockstep" or fold == "all":
        return []
    return [f"fold_order={fold_order}: is used with fold=all only; leave it out"]


def schedule_errors(schedule: Choice, epochs: int) -> list[str]:
    """A warm-up ends before the training does."""
    warmup = dict(schedule.params).get("warmup", 0)
    return [f"schedule.warmup={warmup:g}: must be below epochs={epochs}"] if warmup >= epochs else []


def features_freeze_errors(freeze: Choice, features: Choice) -> list[str]:
    """Layers whose features are trained on stay frozen."""
    epochs = dict(freeze.params).get("epochs")
    if features.name == "none" or freeze.name != "backbone" or epochs == _default(FREEZES, freeze, "epochs"):
        return []
    return [
        f"freeze.epochs={epochs}: features={features} keeps all below the last layer frozen; leave it out"
    ]


def freeze_errors(freeze: Choice, epochs: int, features: Choice) -> list[str]:
    """Frozen layers are unfrozen before the training ends, unless only their features are trained on."""
    if features.name != "none" and freeze.name == "backbone":
        return []
    params = dict(freeze.params)
    return [
        f"freeze.{name}={params[name]}: must be below epochs={epochs}"
        for name in ("epochs", "every")
        if params.get(name, 0) >= epochs
    ]


def features_errors(
    features: Choice, model: str, freeze: Choice, augment: Policy, mixing: Choice, copies: Choice,
    layer_decay: float, stem_decay: float, compile: bool | str, join: str,
) -> list[str]:  # fmt: skip
    """Features of photos can't be changed as photos can, and nothing below them is trained."""
    if features.name == "none":
        return []
    unused = {
        f"freeze={freeze}": freeze.name not in ("none", "backbone"),
        f"augment={augment}": bool(augment.steps),
        f"mixing={mixing}": mixing.name not in ("none", "mixup", "mixup_rare"),
        f"copies={copies}": copies.name != "none",
        f"layer_decay={layer_decay:g}": layer_decay != 1,
        f"stem_decay={stem_decay:g}": stem_decay != 1,
        compile_text(compile): bool(compile),
    }
    errors = [
        f"{text}: can't be used with features={features}; leave it out" for text, is_ in unused.items() if is_
    ]
    return errors + _one_end_errors(f"features={features}", model, join)


def mlp_errors(head: Choice, model: str, join: str) -> list[str]:
    """There are features under the hidden layer, not logits."""
    return _one_end_errors(f"head={head}", model, join, False) if head.name == "mlp" else []


def init_errors(init: Choice, model: str, join: str, head: Choice) -> list[str]:
    """There is one layer to fit, to features."""
    if init.name == "random":
        return []
    several = [f"init={init}: fits one layer, not the two of head={head}; choose another head"]
    return _one_end_errors(f"init={init}", model, join) + several * (head.name == "mlp")


def smoothing_errors(init: Choice, head: Choice) -> list[str]:
    """What is smoothed are the means of subclasses."""
    smoothing = dict(init.params).get("smoothing")
    if subclasses_of(head) > 1 or init.name == "random" or smoothing == _default(INITS, init, "smoothing"):
        return []
    return [f"init.smoothing={smoothing:g}: is used with head.subclasses only; leave it out"]


def join_errors(join: str, model: str) -> list[str]:
    """Features of several networks are joined before their last layers."""
    return _one_end_errors("join=features", model, join) if "+" in model and join == "features" else []


def one_network_errors(join: str, model: str) -> list[str]:
    if join != "features" or "+" in model:
        return []
    return [f"join=features: {model} is one network; leave it out, or give several joined by +"]


def learning_rate_errors(learning_rate: float, init: Choice, features: Choice, freeze: Choice) -> list[str]:
    """A rate of 0 keeps what training starts from."""
    if learning_rate >= 1e-9:
        return []
    if learning_rate or init.name == "random":
        return [f"learning_rate={learning_rate:g}: must be 1e-09 or more (0 keeps what init=lda fits)"]
    if features.name == "none" and freeze.name != "batch_norm":
        return [
            "learning_rate=0: batch normalisation would learn other statistics than those that "
            f"init={init.name} was fitted to; give features=cached, or freeze=batch_norm"
        ]
    return []


def untrained_errors(
    learning_rate: float, optimizer: Choice, sampler: Choice, mixing: Choice, borders: Choice, head: Choice,
    ema: float,
) -> list[str]:  # fmt: skip
    """With a rate of 0 nothing is learned from the batches. The loss may be any: one search can compare
    losses at several rates, of which 0 is one."""
    if learning_rate != 0:
        return []
    dropout = dict(head.params).get("dropout", 0)
    unused = {
        f"sampler={sampler}": sampler.name != "uniform",
        f"mixing={mixing}": mixing.name != "none",
        f"borders={borders}": borders.name == "soft",
        f"head.dropout={dropout:g}": dropout > 0,
        f"ema={ema:g}": ema > 0,
    }
    errors = []
    if given := [text for text, is_ in unused.items() if is_]:
        errors.append(
            f"{', '.join(given)}: nothing is trained with learning_rate=0; leave out (search 0 by itself)"
        )
    if optimizer.name in MOVES_AT_0:
        errors.append(f"optimizer={optimizer}: trains with learning_rate=0, too; choose another")
    return errors


def decay_errors(layer_decay: float, stem_decay: float) -> list[str]:
    """The decay from layer to layer is said once: by layer, or in all."""
    if 1 in (layer_decay, stem_decay):
        return []
    return [f"layer_decay={layer_decay:g}: can't be used with stem_decay={stem_decay:g}; leave one out"]


def teacher_errors(teacher: Choice, learning_rate: float) -> list[str]:
    """A teacher has predictions, and something is trained on them."""
    if teacher.name == "none":
        return []
    missing = f"teacher={teacher}: give the folders of runs with fold=all, such as teacher.runs=out/a,out/b"
    untrained = f"teacher={teacher}: nothing is trained with learning_rate=0; leave it out"
    wrong = {missing: not teacher.build(TEACHERS).runs, untrained: learning_rate == 0}
    return [text for text, is_ in wrong.items() if is_]


def mixing_errors(mixing: Choice) -> list[str]:
    """The cut is drawn between `low` and `high`."""
    params = dict(mixing.params)
    low, high = params.get("low", 0), params.get("high", 1)
    return [f"mixing.low={low:g}: must not be above mixing.high={high:g}"] if low > high else []


def size_errors(model: str, image_size: Size) -> list[str]:
    """Each network accepts the image size."""
    size, errors = size_text(image_size), []
    for name, network in _networks(model):
        if network.fixed and not network.multiple and image_size != network.fixed:
            errors.append(f"image_size={size}: {name} takes only {size_text(network.fixed)}")
        elif min(image_size) < network.min_side:
            errors.append(f"image_size={size}: {name} needs at least {network.min_side} pixels each way")
        elif network.multiple and any(side % network.multiple for side in image_size):
            near = "x".join(str(_nearest(side, network.multiple)) for side in image_size)
            errors.append(
                f"image_size={size}: {name} takes multiples of {network.multiple} each way, such as {near}"
            )
    return errors


def resizing_errors(
    resizing: Choice, model: str, image_size: Size, features: Choice, compile: bool | str
) -> list[str]:
    """Each network accepts all sizes that its photos have in training, and is not compiled for each."""
    if resizing.name == "none":
        return []
    if features.name != "none":
        return [f"resizing={resizing}: can't be used with features={features}; leave it out"]
    first, errors = resizing.build(RESIZINGS, image_size, 1)(1), list[str]()
    if compile:
        errors.append(
            f"{compile_text(compile)}: resizing={resizing} would compile for each size; leave one out"
        )
    for name, network in _networks(model):
        if network.fixed:
            errors.append(f"resizing={resizing}: {name} takes photos of one size only; leave it out")
        elif network.multiple:
            errors.append(
                f"resizing={resizing}: {name} takes multiples of {network.multiple} each way only; leave it "
                "out"
            )
        elif min(first) < network.min_side:
            errors.append(
                f"resizing={resizing}: photos are {size_text(first)} in the first epoch, {name} needs at "
                f"least {network.min_side} pixels each way; raise resizing.start"
            )
    return errors


def precision_errors(precision: str, device: str) -> list[str]:
    """float16 runs on a GPU only."""
    return [NO_FLOAT16] if precision == "float16" and device == "cpu" else []


def pixels_errors(pixels: str, augment: Policy, copies: Choice, features: Choice) -> list[str]:
    """Photos on the device are not changed one by one on the CPU."""
    if pixels != "device":
        return []
    unused = {
        f"augment={augment} with steps on single photos": bool(augment.on("photo")),
        f"copies={copies}": copies.name != "none",
        f"features={features}": features.name != "none",
    }
    return [f"pixels=device: can't be used with {text}; leave it out" for text, is_ in unused.items() if is_]


def device_errors(device: str) -> list[str]:
    """The device is one that torch knows."""
    if re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", device):
        return []
    if device == "gpu":
        return ["device=gpu: write device=cuda for a GPU"]
    return [unknown("device", device, ("auto", "cpu", "cuda", "cuda:0", "mps"))]


def graphs_errors(compile: bool | str, accumulate: int) -> list[str]:
    """A CUDA graph writes the gradients of each batch to the same memory."""
    if compile != "graphs" or accumulate == 1:
        return []
    return [f"compile=graphs: can't be used with accumulate={accumulate}; write compile=true"]


def pseudo_number_errors(pseudo_labels: str, borders: Choice, head: Choice) -> list[str]:
    """Nobody knows the numbers that classes of photos to predict were cut from."""
    subclasses = subclasses_of(head)
    needing = {"borders=soft": borders.name == "soft", f"head.subclasses={subclasses}": subclasses > 1}
    return [
        f"{name}: needs numbers, which photos with pseudo_labels do not have; leave out one of the two"
        for name, needs in needing.items()
        if pseudo_labels and needs
    ]


COMBINATIONS: tuple[Check, ...] = (
    fold_errors, fold_order_errors, schedule_errors, learning_rate_errors, mlp_errors, init_errors,
    join_errors, features_errors, freeze_errors, decay_errors, mixing_errors, size_errors, resizing_errors,
    precision_errors, pixels_errors, graphs_errors, device_errors, pseudo_number_errors, teacher_errors,
)  # fmt: skip
# Values without an effect are refused in new recipes; what ran with them is read as it is.
WITHOUT_EFFECT: tuple[Check, ...] = (
    one_network_errors, features_freeze_errors, smoothing_errors, untrained_errors,
)  # fmt: skip


def subclasses_of(head: Choice) -> int:
    """Outputs of each band; 1 for heads without the parameter."""
    return dict(head.params).get("subclasses", 1)


def _default(registry: Registry, choice: Choice, param: str) -> Any:
    """The default of a parameter of this choice."""
    return dict(default_choice(registry, choice.name).params)[param]


def compile_text(compile: bool | str) -> str:
    return f"compile={str(compile).lower()}"


def _one_end_errors(what: str, model: str, join: str, once: bool = True) -> list[str]:
    """`what` needs one last layer; `once`: of each network, too."""
    if "+" in model and join != "features":
        return [f"{what}: needs one network, not {model}, or join=features"]
    return [
        f"{what}: {name} ends in {network.ends} layers, not in one; choose another model"
        for name, network in _networks(model)
        if once and network.ends > 1
    ]


def _networks(model: str) -> list[tuple[str, Network]]:
    """(name, what it accepts) of each of the networks that are known here: a repository that is not on this
    machine is an error of weights_errors."""
    return [(name, network_of(name)) for name in members(model) if not errors_of(network_of, name)]


def members(model: str) -> list[str]:
    """The networks that are joined by + in `model`, each once."""
    return list(dict.fromkeys(model.split("+")))


def _nearest(side: int, multiple: int) -> int:
    return max(1, round(side / multiple)) * multiple
