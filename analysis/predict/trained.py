"""A run folder -> probabilities for photos, prepared as in training."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from analysis.trials.unfinished import how_far, unfinished
from common.errors import UsageError
from common.progress import track
from common.text import few
from dataset.cache.arrays import Uncached
from dataset.task import Task
from trial import recipe
from trial.data import batches
from trial.data.views import VIEWS, Views
from trial.features import AsTheyAre, Features, features_of
from trial.fit import infer
from trial.models.features import Backbone, Probe
from trial.models.heads import HEADS, Head
from trial.preprocessing import Preprocessing
from trial.process.compute import Compute, decide
from trial.run_folder.record import WEIGHTS, RunFolder
from trial.run_folder.status import STATUS

ROWS = 1024  # photos whose features are read at a time


class Averaged(nn.Module):
    """Several networks, each over all `views` of a photo, as one network. Its logits are the logarithm of the
    mean probability, so that softmax gives that mean. `temperature` divides the networks' own logits. With a
    `backbone`, the networks see its features of a view."""

    def __init__(
        self,
        networks: list[nn.Module],
        views: Views,
        temperature: float = 1.0,
        backbone: nn.Module | None = None,
    ):
        super().__init__()
        self.networks, self.views, self.temperature = nn.ModuleList(networks), views, temperature
        self.backbone = backbone or nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, height, width) -> (B, classes)."""
        found = [
            (network(shown).float() / self.temperature).softmax(1)
            for shown in map(self.backbone, self.views(images))
            for network in self.networks
        ]
        return torch.stack(found).mean(0).log()


@dataclass(frozen=True)
class Trained:
    """A run folder's networks, ready to predict: one, or one per fold of a fold=all run. If only their last
    layers were trained (features=cached), `head` says how their outputs become logits; what the rest of them
    makes of photos is kept in the cache, for other runs that share it and for the next prediction."""

    run: Path
    task: Task
    networks: list[nn.Module]
    preprocessing: Preprocessing
    compute: Compute
    head: Head | None = None
    cache_limit: float = 0.0  # GiB, of features

    def predict(
        self,
        photos: pd.DataFrame,
        tta: str = "none",
        temperature: float = 1.0,
        batch_size: int = 128,
        pixels: np.ndarray | Uncached | None = None,
    ) -> np.ndarray:
        """Probabilities (photos, classes), the mean over networks and views, in the order of `photos` (photo,
        path). `tta`: a name in VIEWS; `pixels`: those of a whole table that `photos` is a part of.
        UsageError if a probability is not finite."""
        kept = self._kept_features(photos, tta) if self.head and pixels is None else None
        if kept is not None:
            probabilities = self._of_features(kept, temperature)
        else:
            probabilities = self._of_photos(photos, tta, temperature, batch_size, pixels)
        if (lost := ~np.isfinite(probabilities).all(1)).any():
            raise UsageError(
                f"{self.run}: its network gives probabilities that are not finite for {lost.sum():,} of "
                f"{len(photos):,} photos, first {photos['photo'].iloc[lost.argmax()]}; its training diverged "
                "or its weights are damaged: use another run, or train it again with a smaller learning_rate"
            )
        return probabilities

    def _of_photos(
        self,
        photos: pd.DataFrame,
        tta: str,
        temperature: float,
        batch_size: int,
        pixels: np.ndarray | Uncached | None,
    ) -> np.ndarray:
        networks, backbone = self.networks, None
        if self.head and len(networks) > 1:  # the rest of them is the same, and need not run for each
            networks, backbone = self._probes(), Backbone(self.networks[0])
        network = Averaged(networks, VIEWS[tta], temperature, backbone).to(self.compute.device)
        loader = batches.loader(batches.Photos(photos, self.preprocessing, pixels), batch_size)
        logits, _ = infer(network, self.preprocessing, self.compute, track(loader, "predicting", "batches"))
        return logits.softmax(1).numpy()

    def _kept_features(self, photos: pd.DataFrame, views: str) -> np.ndarray | None:
        """(photos, views, D) from the cache, made if need be; None if it has no room for them."""
        if not self.cache_limit:
            return None
        network = self.networks[0].to(self.compute.device)
        try:
            return features_of(network, photos, self.preprocessing, self.compute, views, self.cache_limit)
        except UsageError:
            return None

    def _of_features(self, features: np.ndarray, temperature: float) -> np.ndarray:
        """Probabilities (photos, classes), the mean over networks and views, from features (photos, views,
        D)."""
        network = Averaged(self._probes(), VIEWS["none"], temperature).to(self.compute.device)
        rows = pd.DataFrame({"label": np.zeros(len(features), int)})
        found = []
        for view in range(features.shape[1]):
            loader = batches.loader(Features(rows, features[:, view : view + 1]), ROWS)
            found.append(infer(network, AsTheyAre(), self.compute, loader)[0].softmax(1))
        return torch.stack(found).mean(0).numpy()

    def _probes(self) -> list[nn.Module]:
        assert self.head is not None
        return [Probe(network, self.head.to_logits) for network in self.networks]


def load(run: Path) -> Trained:
    """Load the networks of the run folder `run`. UsageError if it has none, or one of other classes."""
    folder = RunFolder(run)
    try:
        config, preprocessing, paths = folder.config(), folder.preprocessing(), folder.weights_files()
        task = folder.task()
        folder.origin()
        lacks = "" if paths else WEIGHTS
    except (FileNotFoundError, NotADirectoryError) as error:
        lacks = Path(error.filename).name
    if lacks:
        state = unfinished(run) if (folder.folder / STATUS).exists() else None
        raise UsageError(
            f"{run}: holds no trained network (no {lacks})"
            + (f"; its state: {how_far(state)}" if state else "")
        )
    if config.fold == "all" and paths[0].name != WEIGHTS and len(paths) != config.folds:
        raise UsageError(f"{run}: has networks for only {len(paths)} of its {config.folds} folds")
    # The device and precision it was trained with say nothing about this machine.
    halved = config.precision == "float16" and not torch.cuda.is_available()
    precision = "auto" if halved else config.precision
    config = replace(config, weights="none")  # the run's own are loaded
    networks = []
    for path in paths:
        network, _ = recipe.build(config, task)
        try:
            network.load_state_dict(load_file(path))
        except (RuntimeError, SafetensorError) as error:
            why = str(error).splitlines()[-1].strip()
            raise UsageError(
                f"{path}: not the weights of a {config.model} of {task.n_classes} classes ({why})"
            ) from None
        networks.append(network)
    head = config.head.build(HEADS, task) if config.trains_on_features else None
    compute = decide(networks[0], precision=precision)
    return Trained(Path(run), task, networks, preprocessing, compute, head, config.cache_limit)


def predict(run: Path, photos: pd.DataFrame, tta: str = "none") -> np.ndarray:
    """Probabilities (photos, classes) of the run folder `run`, in the order of `photos`: `load`, then
    `Trained.predict`."""
    return load(run).predict(photos, tta)


def other_classes(task: Task, wanted: Task) -> str:
    """'other classes (...)' if the classes of `task` are not those of `wanted` in the same order, else ''."""
    if task.classes == wanted.classes:
        return ""
    new = [name for name in task.classes if name not in wanted.classes]
    lacking = [name for name in wanted.classes if name not in task.classes]
    differ = [f"unknown: {few(new, 3)}"] * bool(new) + [f"without {few(lacking, 3)}"] * bool(lacking)
    words = "; ".join(differ) or "another order"
    return f"other classes ({task.n_classes} instead of {wanted.n_classes}; {words})"
