"""Checks of what a recipe needs of the machine that trains it, and of the task of the photos.

They are written as those of `trial.constraints`.
"""

import os
import shutil
from pathlib import Path

from common.errors import errors_of
from common.image_size import Size
from dataset.face_masks.borders import NO_AGES
from dataset.face_masks.labels import FACE_MASK, NO_CORRECTIONS
from dataset.faces.detector import detector_errors
from dataset.task import Task
from trial.augment.policies import Policy
from trial.choice import Choice
from trial.constraints import Check, compile_text, members, subclasses_of
from trial.learning.teachers import TEACHERS
from trial.models.weights import WITHOUT_INTERNET, locate, with_sources
from trial.process.ranks import MIN_PART


def weights_errors(model: str, weights: str) -> list[str]:
    """The pretrained weights are on this machine."""
    names = members(model)
    if len(names) > 1 and Path(weights).is_file():
        return [f"weights={weights}: is one file for {', '.join(names)}; give a folder with one each"]
    if errors := errors_of(with_sources, model, weights):
        return errors
    errors = [error for member in with_sources(model, weights) for error in errors_of(locate, *member)]
    return sorted(dict.fromkeys(errors), key=lambda error: error == WITHOUT_INTERNET)  # that line last


def world_errors(
    world: int, fold: int | str, features: Choice, compile: bool | str, batch_size: int, device: str
) -> list[str]:
    """What `world` processes, each with a GPU, can't train together (trial/process/ranks.py)."""
    if world == 1:
        return []
    import torch

    gpus = torch.cuda.device_count()
    refused = {
        f"device={device}: each of {world} processes takes its own GPU; write device=cuda, or cpu": (
            device not in ("auto", "cuda", "cpu")
        ),
        f"{world} processes: this machine has {gpus} GPUs that torch can use; start as many processes as it "
        "has, or write device=cpu": device in ("auto", "cuda") and gpus < world,
        f"fold={fold}: {world} processes train one network; give one fold, or start one process": (
            fold == "all"
        ),
        f"features={features}: one process trains a last layer; start one": features.name != "none",
        f"{compile_text(compile)}: is for one process; leave it out": bool(compile),
        f"batch_size={batch_size}: {world} processes share it, and each needs {MIN_PART} photos or more": (
            batch_size < MIN_PART * world
        ),
    }
    return [text for text, wrong in refused.items() if wrong]


def crop_errors(crop: Choice) -> list[str]:
    """crop=face has its face detector installed."""
    return detector_errors() if crop.name == "face" else []


def compile_errors(compile: bool | str) -> list[str]:
    """torch.compile has a compiler installed; CC and CXX may name it, as it expects."""
    named = [os.environ.get(name, "").split() for name in ("CC", "CXX")]  # with options, perhaps
    if not compile or any(map(shutil.which, ("g++", "clang++", *(words[0] for words in named if words)))):
        return []
    return [f"{compile_text(compile)} needs a compiler (Debian, Ubuntu: apt install g++); or leave it out"]


def augment_errors(augment: Policy, image_size: Size) -> list[str]:
    """The installed albumentations accepts the steps on photos: each is run once."""
    if not augment.on("photo"):
        return []
    from trial.augment.pipeline import photo_transform

    return errors_of(photo_transform, augment, image_size)


def corrections_errors(corrections: str) -> list[str]:
    """The file of corrections exists."""
    if corrections in ("", "competition") or Path(corrections).is_file():
        return []
    return [f"corrections={corrections}: no such file; 'competition' is the shipped one"]


def pseudo_labels_errors(pseudo_labels: str) -> list[str]:
    """The file of pseudo-labels exists."""
    if not pseudo_labels or Path(pseudo_labels).is_file():
        return []
    return [f"pseudo_labels={pseudo_labels}: no such file; python -m analysis pseudo-labels writes one"]


def runs_errors(teacher: Choice) -> list[str]:
    """The folders of the teacher's runs exist."""
    runs = teacher.build(TEACHERS).runs if teacher.name != "none" else ()
    return [f"teacher.runs: {run}: no such folder" for run in runs if not Path(run).is_dir()]


def head_errors(head: Choice, task: Task) -> list[str]:
    """A head of factors needs a task with factors, and subclasses need a factor that was a number."""
    if head.name == "factors" and not task.factors:
        return ["head=factors: this set has no factors; give columns of them in photos.csv, or head=classes"]
    subclasses = subclasses_of(head)
    if subclasses == 1 or task.bands:
        return []
    return [f"head.subclasses={subclasses}: no factor of this set is a number cut into bands; leave it out"]


def rare_errors(copies: Choice, mixing: Choice, task: Task) -> list[str]:
    """What is done for rare classes needs some."""
    if task.rare:
        return []
    wanted = [f"copies={copies}"] * (copies.name != "none") + [f"mixing={mixing}"] * (
        mixing.name == "mixup_rare"
    )
    return [f"{one}: no class of this set is rare; leave it out" for one in wanted]


def borders_errors(borders: Choice, task: Task) -> list[str]:
    """Borders are between bands of the home task."""
    if borders.name == "keep" or task.name == FACE_MASK.name:
        return []
    return [f"borders={borders}: {NO_AGES}"]


def task_corrections_errors(corrections: str, task: Task) -> list[str]:
    """Corrections are of the home task's labels."""
    if not corrections or task.name == FACE_MASK.name:
        return []
    return [f"corrections={corrections}: {NO_CORRECTIONS}"]


FOR_TASK: tuple[Check, ...] = (head_errors, rare_errors, borders_errors, task_corrections_errors)
ON_THIS_MACHINE: tuple[Check, ...] = (
    weights_errors, crop_errors, compile_errors, augment_errors, corrections_errors,
    pseudo_labels_errors, runs_errors,
)  # fmt: skip
