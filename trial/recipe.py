"""From a TrialConfig to the parts that train a network: the only place that unpacks a config for training.

Trials (trial/run.py), retraining and the learning-rate range test (analysis/) are made of these parts. The
parts themselves take values and don't know the config.
"""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from common.errors import UsageError
from dataset.face_masks.borders import BORDERS
from dataset.fingerprint import fingerprint
from dataset.read import corrected, read_eval, scan_train
from dataset.split import folds_errors
from dataset.tables import log_notes
from dataset.task import Task
from trial.augment.mixing import MIXINGS
from trial.config import TrialConfig, task_errors
from trial.data import batches, pseudo_labels
from trial.data.sampling import COPIES, SAMPLERS
from trial.data.views import FEATURES
from trial.features import AsTheyAre, Features, features_of, room_errors
from trial.fit import Training
from trial.forward import Forward
from trial.learning.ema import Average
from trial.learning.freezing import FREEZES, none
from trial.learning.inits import INITS, Initial, Target
from trial.learning.learner import Learner
from trial.learning.losses import LOSSES
from trial.learning.optimizers import OPTIMIZERS
from trial.learning.param_groups import param_groups
from trial.learning.resizing import RESIZINGS
from trial.learning.schedules import SCHEDULES
from trial.learning.teachers import TEACHERS, Soften, Teacher, softened
from trial.models import factory
from trial.models.features import Probe, whole
from trial.models.heads import HEADS, Head, last_layer
from trial.models.weights import hashes, pinned, with_sources
from trial.preprocessing import Preprocessing
from trial.process.compute import Compute, decide
from trial.process.ranks import ALONE, Ranks
from trial.run_folder.origin import label_files, origin
from trial.run_folder.out_of_fold import predictions
from trial.run_folder.record import RunWriter


class Start(NamedTuple):
    """What training starts from. `table`: all photos to train on; `pixels`: these, decoded; `fingerprint`: of
    the data; `features` (photos, views, D): of the photos, if the recipe needs them. `pseudo`: photos to
    predict that are trained on, too, with pseudo-labels; in `pixels` and `features` they follow `table`.
    `taught` (photos, classes): what the teacher predicts for the photos of `table`."""

    task: Task
    table: pd.DataFrame
    network: nn.Module
    preprocessing: Preprocessing
    compute: Compute
    pixels: batches.Pixels
    fingerprint: str = ""
    features: np.ndarray | None = None
    pseudo: pd.DataFrame | None = None
    taught: np.ndarray | None = None


class Labels(NamedTuple):
    """What is learned of which photos. `table`, `pseudo` and `taught` as in Start; `every`: the photos of
    `table` and, if some have pseudo-labels, all to predict."""

    table: pd.DataFrame
    every: pd.DataFrame
    pseudo: pd.DataFrame | None
    taught: np.ndarray | None


def labels(config: TrialConfig, task: Task, table: pd.DataFrame, holds_out: bool) -> Labels:
    """The photos `table` with corrected labels, pseudo-labels and what a teacher predicts, as `config` has
    them. UsageError if a file or run does not fit the photos; with `holds_out`, the groups held out, too."""
    table = corrected(task, table, config.corrections)
    pseudo, every = None, table
    if config.pseudo_labels:
        path = Path(config.pseudo_labels)
        if holds_out:
            pseudo_labels.refuse_known(path, config.recipe(), table)
        # All photos to predict follow, whichever have a label: one cache serves all files of labels.
        both = [table, read_eval(Path(config.data), config.group)]
        every = pd.concat([photos[["photo", "path"]] for photos in both], ignore_index=True)
        pseudo = pseudo_labels.read(path, every[len(table) :], task)
    teacher: Teacher | None = config.teacher.build(TEACHERS)
    taught = predictions(teacher.runs, table, task, teacher.temperature) if teacher else None
    return Labels(table, every, pseudo, taught)


def start(config: TrialConfig, writer: RunWriter, ranks: Ranks = ALONE, holds_out: bool = False) -> Start:
    """Read the photos, build the network, decide the device, and record all of it in the run folder.
    `holds_out`: a fold for validation, so there must be as many groups as folds."""
    data_fingerprint = fingerprint(Path(config.data))
    task, table, errors = scan_train(Path(config.data), config.group)
    errors = errors or task_errors(config, task)
    if holds_out and not errors:
        errors = folds_errors(config.folds, table["group"].nunique())
    if errors:
        raise UsageError(errors)
    table, every, pseudo, taught = labels(config, task, table, holds_out)
    log_notes(table)
    torch.manual_seed(config.seed)
    network, preprocessing = build(config, task)
    compute = decide(network, config.device, config.precision, config.threads, config.workers, ranks)
    counts = np.bincount(table["label"], minlength=task.n_classes).tolist()
    networks = [pinned(name) for name, _ in with_sources(config.model, config.weights)]
    room = room_for(config, compute, len(every))
    place = "host" if room is None else "device"
    recorded = {"class_counts": counts, "networks": networks, "pixels": place}
    if pseudo is not None:
        recorded["pseudo_labels"] = len(pseudo)
    if config.trains_on_features:  # checkpoints hold the last layer alone
        recorded["start_weights"] = hashes(config.model, config.weights)
    if files := label_files(config.recipe()):
        recorded["label_files"] = files
    writer.origin(origin(data_fingerprint, config.seed, compute) | recorded)
    writer.preprocessing(preprocessing)
    writer.task(task)
    views = config.features.build(FEATURES)
    features: np.ndarray | None = None
    pixels: batches.Pixels = batches.uncached(every, preprocessing)
    if config.needs_features:
        compute.place(network)
        features = features_of(network, every, preprocessing, compute, views or "none", config.cache_limit)
    if not views:
        decoded = batches.shared_pixels(every, preprocessing, config.cache_limit)
        pixels = decoded if room is None else batches.moved(decoded, room)
    return Start(
        task, table, network, preprocessing, compute, pixels, data_fingerprint, features, pseudo, taught
    )


def room_for(config: TrialConfig, compute: Compute, photos: int) -> Tensor | None:
    """As `Compute.room_for`, for this number of photos; None if the recipe changes some of them one by one,
    which is done on the CPU, or does not train on photos."""
    if config.trains_on_features or config.augment.on("photo") or config.copies.name != "none":
        return None
    return compute.room_for(config.pixels, (photos, *config.image_size, 3))


def build(config: TrialConfig, task: Task) -> tuple[nn.Module, Preprocessing]:
    """The network of `config` for `task`, and the preprocessing of its photos; as `factory.build`."""
    head = config.head.build(HEADS, task)
    return factory.build(
        config.model, config.weights, head, task.n_classes, config.image_size, config.crop, config.join
    )


def features_errors(config: TrialConfig, photos: int) -> list[str]:
    """Why the cache can't hold the features that `config` needs of this number of `photos`: known before they
    are computed."""
    if not config.needs_features:
        return []
    width = factory.width_of(config.model, config.image_size)
    return room_errors(photos, width, config.features.build(FEATURES) or "none", config.cache_limit)


def training(
    config: TrialConfig,
    start: Start,
    network: nn.Module,
    photos: pd.DataFrame,
    state: Mapping[str, Any] | None = None,
) -> Training:
    """The parts that train `network` on `photos`, rows of `start.table`, and those with pseudo-labels, after
    the epochs of `state` (`Training.state`), if there is one. Moves `network` to the device.

    UsageError if `borders` leaves no photo.
    """
    border = config.borders.build(BORDERS)
    photos = border.change(photos)
    if photos.empty:
        raise UsageError(f"borders={config.borders} leaves no photo to learn from; narrow what it drops")
    if start.pseudo is not None:
        photos = pd.concat([photos, start.pseudo])
    photos = config.copies.build(COPIES, start.task)(photos)
    done = state["epoch"] if state else 0
    start.compute.place(network)
    head = config.head.build(HEADS, start.task)
    initial = config.init.build(INITS)
    if initial and not state:
        assert start.features is not None
        _initialise(network, initial, start.features[photos.index], photos, head, start.task)
    shown: batches.Shown
    trained, processing = network, start.preprocessing
    whole_state: Callable[[Any], Mapping[str, Tensor]] = nn.Module.state_dict
    if config.trains_on_features:
        assert start.features is not None
        shown = Features(photos, start.features, start.features.shape[1], config.seed)
        trained, processing = Probe(network, head.to_logits), AsTheyAre()
        whole_state = partial(whole, network)
    else:
        shown = batches.Photos(photos, start.preprocessing, start.pixels, config.augment, config.seed)
    train, class_counts = batches.training(
        shown,
        config.batch_size,
        start.compute.workers,
        config.sampler.build(SAMPLERS),
        start.task.n_classes,
        done,
    )
    forward = Forward(
        config.loss.build(LOSSES, torch.as_tensor(class_counts)),
        config.augment,
        config.mixing.build(MIXINGS, start.task),
        processing,
        start.compute,
        config.seed,
        border.drawn(photos) if border.drawn else None,
        config.resizing.build(RESIZINGS, config.image_size, config.epochs),
        _soften(config, start, photos),
    )
    groups = param_groups(trained, config.layer_decay, config.weight_decay, config.stem_decay)
    optimizer = config.optimizer.build(OPTIMIZERS, groups, config.learning_rate, config.weight_decay)
    training = Training(
        network=trained,
        passes=start.compute.passes(
            trained, config.compile, config.batch_size, config.freeze.name not in ("none", "batch_norm")
        ),
        train=train,
        forward=forward,
        learner=Learner(trained, optimizer, start.compute, config.clip_norm),
        learning_rate=config.learning_rate,
        schedule=config.schedule.build(SCHEDULES, config.epochs),
        freeze=none() if config.trains_on_features else config.freeze.build(FREEZES),
        epochs=config.epochs,
        seed=config.seed,
        accumulate=config.accumulate,
        average=Average(trained, config.ema) if config.ema else None,
        done=done,
        whole=whole_state,
    )
    if state:
        training.load(state)
    return training


def validation(config: TrialConfig, start: Start, photos: pd.DataFrame) -> DataLoader:
    """The batches of `photos`, rows of `start.table`, that the training of `config` is validated on.

    On a CPU they are as large as those of training: then they fit into the memory that training has freed,
    where larger ones would need more beside it, and they are no faster.
    """
    shown: batches.Shown
    if config.trains_on_features:
        assert start.features is not None
        shown = Features(photos, start.features)
    else:
        shown = batches.Photos(photos, start.preprocessing, start.pixels)
    factor = 1 if start.compute.device.type == "cpu" else batches.EVALUATION_FACTOR
    return batches.loader(shown, factor * config.batch_size)


def _soften(config: TrialConfig, start: Start, photos: pd.DataFrame) -> Soften | None:
    """How labels of `photos` are mixed with the teacher's predictions; a pseudo-label stays as it is, as the
    teacher knows nothing of its photo."""
    teacher: Teacher | None = config.teacher.build(TEACHERS)
    if teacher is None or start.taught is None:
        return None
    known = np.eye(start.task.n_classes)[photos["label"]]
    labelled = photos.index < len(start.table)
    known[labelled] = start.taught[photos.index[labelled]]
    return softened(known, teacher.fraction)


def _initialise(
    network: nn.Module, initial: Initial, features: np.ndarray, photos: pd.DataFrame, head: Head, task: Task
) -> None:
    """Set the last layer of `network`, with its `head`, to what `initial` makes of the photos' features
    (photos, views, D): each view counts as a photo."""
    number, views, width = features.shape
    each = np.repeat(np.arange(number), views)
    targets = [target.part(each) for target in _targets(photos, head, task)]
    weight, bias = initial(features.reshape(-1, width), targets, photos["group"].to_numpy()[each])
    layer: Any = last_layer(network)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(weight).view_as(layer.weight))
        layer.bias.copy_(torch.from_numpy(bias))


def _targets(photos: pd.DataFrame, head: Head, task: Task) -> list[Target]:
    """What the outputs of `head` tell apart, of these photos."""
    if not head.subclasses:
        return [Target(photos["label"].to_numpy(), task.n_classes)]
    return [
        Target(
            photos[factor].to_numpy(),
            size,
            subclasses,
            photos[task.bands[factor].column].to_numpy() if subclasses > 1 else None,
        )
        for factor, size, subclasses in zip(task.factors, task.sizes, head.subclasses, strict=True)
    ]
