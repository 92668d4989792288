"""What can't be, though each field by itself can: combinations of a config's fields, and this machine."""

import math
import os
import re
import shlex
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from common.errors import errors_of, unknown
from common.image_size import size_text
from dataset.faces.detector import missing as missing_detector
from trial.catalogue import networks
from trial.models.weights import WITHOUT_INTERNET, locate

if TYPE_CHECKING:
    from trial.augment.policies import Policy
    from trial.config import TrialConfig

NO_FLOAT16 = "precision=float16 needs a GPU; on the CPU use bfloat16 or float32"


def impossible(config: "TrialConfig", unread: Iterable[str]) -> list[str]:
    """The errors of `config` as a whole; fields in `unread` could not be read, and are not looked at."""
    errors: list[str] = []
    unread = set(unread)
    folds = range(config.folds)
    if config.fold != "all" and not {"fold", "folds"} & unread and config.fold not in folds:
        errors.append(f"fold={config.fold}: must be from 0 on and below folds={config.folds}")
    if config.fold_order != "lockstep" and config.fold != "all" and "fold" not in unread:
        errors.append(f"fold_order={config.fold_order}: has a meaning with fold=all alone")
    errors += _never(config, unread)
    if not {"model", "image_size"} & unread:
        errors += _size_errors(config)
    if config.precision == "float16" and config.device == "cpu":
        errors.append(NO_FLOAT16)
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", config.device):
        error = unknown("device", config.device, ("auto", "cpu", "cuda", "cuda:0", "mps"))
        errors.append("device=gpu: a GPU is cuda" if config.device == "gpu" else error)
    return errors


def _never(config: "TrialConfig", unread: set[str]) -> list[str]:
    """Numbers of choices by which something would never happen, or the other way round."""
    errors = []
    schedule, freeze, mixing = (dict(c.params) for c in (config.schedule, config.freeze, config.mixing))
    epochs = math.inf if "epochs" in unread else config.epochs
    if schedule.get("warmup", 0) >= epochs:
        errors.append(f"schedule.warmup={schedule['warmup']:g}: must be below epochs={config.epochs}")
    if freeze.get("epochs", 0) >= epochs:
        errors.append(f"freeze.epochs={freeze['epochs']}: must be below epochs={config.epochs}")
    if freeze.get("every", 0) >= epochs:
        errors.append(f"freeze.every={freeze['every']:g}: must be below epochs={config.epochs}")
    if mixing.get("low", 0) > mixing.get("high", 1):
        errors.append(f"mixing.low={mixing['low']:g}: must not be above mixing.high={mixing['high']:g}")
    return errors


def absent(config: "TrialConfig", unread: Iterable[str]) -> list[str]:
    """What `config` names and this machine hasn't got: weights, a face detector, corrections, a compiler,
    steps that albumentations as installed here takes."""
    errors = []
    if not {"model", "weights"}.intersection(unread):
        errors += _weights_errors(config)
    if config.crop.name == "face":
        errors += missing_detector()
    if config.compile and not any(map(shutil.which, ("g++", "clang++", *_named_compilers()))):
        errors.append("compile=true needs a compiler (Debian, Ubuntu: apt install g++); or leave it out")
    if not {"augment", "image_size"}.intersection(unread):
        errors += _steps_errors(config.augment, config.image_size)
    if config.corrections not in ("", "competition") and not Path(config.corrections).is_file():
        errors.append(f"corrections={config.corrections}: no such file; 'competition' is the shipped one")
    return errors


def _steps_errors(policy: "Policy", size: tuple[int, int]) -> list[str]:
    """What the steps on photos themselves refuse: each is done once."""
    if not policy.on("photo"):
        return []
    from trial.augment.pipeline import on_photos

    return errors_of(on_photos, policy, size)


def _weights_errors(config: "TrialConfig") -> list[str]:
    names = list(dict.fromkeys(config.members()))
    if len(names) > 1 and Path(config.weights).is_file():
        return [f"weights={config.weights}: is one file for {', '.join(names)}; give a folder with one each"]
    errors = [error for name in names for error in errors_of(locate, name, config.weights)]
    return sorted(dict.fromkeys(errors), key=WITHOUT_INTERNET.__eq__)  # that line last


def _named_compilers() -> list[str]:
    """What CC and CXX name: torch.compile heeds them."""
    return [shlex.split(os.environ[name])[0] for name in ("CC", "CXX") if os.environ.get(name)]


def _size_errors(config: "TrialConfig") -> list[str]:
    size, errors = size_text(config.image_size), []
    for name in dict.fromkeys(config.members()):
        network = networks()[name.partition(".")[0]]
        if network.fixed and not network.multiple and config.image_size != network.fixed:
            errors.append(f"image_size={size}: {name} takes only {size_text(network.fixed)}")
        elif min(config.image_size) < network.least:
            errors.append(f"image_size={size}: {name} needs at least {network.least} each way")
        elif network.multiple and any(side % network.multiple for side in config.image_size):
            near = "x".join(str(_nearest(side, network.multiple)) for side in config.image_size)
            errors.append(
                f"image_size={size}: {name} takes multiples of {network.multiple} each way, such as {near}"
            )
    return errors


def _nearest(side: int, multiple: int) -> int:
    return max(1, round(side / multiple)) * multiple
