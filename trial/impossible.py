"""What can't be, though each field by itself can: combinations of a config's fields, and this machine."""

import math
import os
import re
import shlex
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from dataset.detector import missing as missing_detector
from dataset.errors import faults_of, unknown
from dataset.image_size import size_text
from trial.catalogue import networks
from trial.weights import WITHOUT_INTERNET, locate

if TYPE_CHECKING:
    from trial.config import TrialConfig
    from trial.policies import Policy

NO_FLOAT16 = "precision=float16 needs a GPU; on the CPU use bfloat16 or float32"


def impossible(config: "TrialConfig", unread: Iterable[str]) -> list[str]:
    """The faults of `config` as a whole; fields in `unread` could not be read, and are not looked at."""
    faults: list[str] = []
    unread = set(unread)
    folds = range(config.folds)
    if config.fold != "all" and not {"fold", "folds"} & unread and config.fold not in folds:
        faults.append(f"fold={config.fold}: must be from 0 on and below folds={config.folds}")
    if config.fold_order != "lockstep" and config.fold != "all" and "fold" not in unread:
        faults.append(f"fold_order={config.fold_order}: has a meaning with fold=all alone")
    faults += _never(config, unread)
    if not {"model", "image_size"} & unread:
        faults += _size_faults(config)
    if config.precision == "float16" and config.device == "cpu":
        faults.append(NO_FLOAT16)
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", config.device):
        fault = unknown("device", config.device, ("auto", "cpu", "cuda", "cuda:0", "mps"))
        faults.append("device=gpu: a GPU is cuda" if config.device == "gpu" else fault)
    return faults


def _never(config: "TrialConfig", unread: set[str]) -> list[str]:
    """Numbers of choices by which something would never happen, or the other way round."""
    faults = []
    schedule, freeze, mixing = (dict(c.numbers) for c in (config.schedule, config.freeze, config.mixing))
    epochs = math.inf if "epochs" in unread else config.epochs
    if schedule.get("warmup", 0) >= epochs:
        faults.append(f"schedule.warmup={schedule['warmup']:g}: must be below epochs={config.epochs}")
    if freeze.get("epochs", 0) >= epochs:
        faults.append(f"freeze.epochs={freeze['epochs']}: must be below epochs={config.epochs}")
    if freeze.get("every", 0) >= epochs:
        faults.append(f"freeze.every={freeze['every']:g}: must be below epochs={config.epochs}")
    if mixing.get("low", 0) > mixing.get("high", 1):
        faults.append(f"mixing.low={mixing['low']:g}: must not be above mixing.high={mixing['high']:g}")
    return faults


def absent(config: "TrialConfig", unread: Iterable[str]) -> list[str]:
    """What `config` names and this machine hasn't got: weights, a face detector, corrections, a compiler,
    steps that albumentations as installed here takes."""
    faults = []
    if not {"model", "weights"}.intersection(unread):
        faults += _weights_faults(config)
    if config.crop.name == "face":
        faults += missing_detector()
    if config.compile and not any(map(shutil.which, ("g++", "clang++", *_named_compilers()))):
        faults.append("compile=true needs a compiler (Debian, Ubuntu: apt install g++); or leave it out")
    if not {"augment", "image_size"}.intersection(unread):
        faults += _steps_faults(config.augment, config.image_size)
    if config.corrections not in ("", "competition") and not Path(config.corrections).is_file():
        faults.append(f"corrections={config.corrections}: no such file; 'competition' is the shipped one")
    return faults


def _steps_faults(policy: "Policy", size: tuple[int, int]) -> list[str]:
    """What the steps on photos themselves refuse: each is done once."""
    if not policy.on("photo"):
        return []
    from trial.augment import on_photos

    return faults_of(on_photos, policy, size)


def _weights_faults(config: "TrialConfig") -> list[str]:
    names = list(dict.fromkeys(config.members()))
    if len(names) > 1 and Path(config.weights).is_file():
        return [f"weights={config.weights}: is one file for {', '.join(names)}; give a folder with one each"]
    faults = [fault for name in names for fault in faults_of(locate, name, config.weights)]
    return sorted(dict.fromkeys(faults), key=WITHOUT_INTERNET.__eq__)  # that line last


def _named_compilers() -> list[str]:
    """What CC and CXX name: torch.compile heeds them."""
    return [shlex.split(os.environ[name])[0] for name in ("CC", "CXX") if os.environ.get(name)]


def _size_faults(config: "TrialConfig") -> list[str]:
    size, faults = size_text(config.image_size), []
    for name in dict.fromkeys(config.members()):
        network = networks()[name.partition(".")[0]]
        if network.fixed and not network.multiple and config.image_size != network.fixed:
            faults.append(f"image_size={size}: {name} takes only {size_text(network.fixed)}")
        elif min(config.image_size) < network.least:
            faults.append(f"image_size={size}: {name} needs at least {network.least} each way")
        elif network.multiple and any(side % network.multiple for side in config.image_size):
            near = "x".join(str(_nearest(side, network.multiple)) for side in config.image_size)
            faults.append(
                f"image_size={size}: {name} takes multiples of {network.multiple} each way, such as {near}"
            )
    return faults


def _nearest(side: int, multiple: int) -> int:
    return max(1, round(side / multiple)) * multiple
