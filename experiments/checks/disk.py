"""The disk space that an experiment will need, estimated before it starts."""

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from common.errors import UsageError
from common.text import bytes_text, path_text
from trial.models.factory import bytes_of
from trial.models.weights import locate, with_sources

OTHERS = 2 * 2**20  # bytes of a trial's other files: answers, curve, NNI's logs
LARGE = 2**30  # bytes; nearly all of timm's networks take less
# Copies of the network in a checkpoint: itself, two moments of the optimizer, the averaged one.
IN_CHECKPOINT = 4


@dataclass(frozen=True)
class Need:
    """`bytes` that `trials` trials may need, of `free` ones at `place`; both None if that is not known."""

    place: Path
    free: int
    bytes: int | None = None
    trials: int | None = None

    def line(self) -> str:
        """'disk: about 1.2 GiB of the 80.0 GiB that are free'; '' if it is not known."""
        if self.bytes is None:
            return ""
        return f"disk: about {bytes_text(self.bytes)} of the {bytes_text(self.free)} that are free"

    def errors(self) -> list[str]:
        """[why it does not fit], [] if it does."""
        if self.bytes is None or self.bytes <= self.free:
            return []
        return [
            f"{path_text(self.place)}: {self.trials} trials may need {bytes_text(self.bytes)}, and "
            f"{bytes_text(self.free)} are free; free some (python -m experiments clean), or try fewer trials"
        ]


def need(
    place: Path,
    networks: Iterable[tuple[str, str, int]],
    trials: int | None,
    concurrency: int,
    keep: int | None = None,
) -> Need:
    """What `trials` trials with these networks, (model, weights, number of folds), may need at `place`: each
    keeps its networks, or only `keep` do, and as many as run at once have a checkpoint."""
    place = next(folder for folder in (place, *place.parents) if folder.is_dir())
    free = shutil.disk_usage(place).free
    if trials is None:
        return Need(place, free)
    kept = trials if keep is None else min(trials, keep + concurrency)
    checkpoints = IN_CHECKPOINT * min(concurrency, trials)
    networks = set(networks)
    # Networks without a file are built only if their size could matter: that takes seconds.
    build = free < (kept + checkpoints) * LARGE * max((folds for *_, folds in networks), default=1)
    sizes = [s * folds for model, weights, folds in networks if (s := _bytes(model, weights, build))]
    if not sizes:
        return Need(place, free)
    whole = kept * sum(sizes) / len(sizes) + trials * OTHERS + checkpoints * max(sizes)
    return Need(place, free, round(whole), trials)


def _bytes(model: str, weights: str, build: bool) -> int:
    """The bytes of a model's networks, by their weights files; those of random ones (weights=none) if
    `build`. 0 if they are not known."""
    known = 0
    try:
        for name, source in with_sources(model, weights):
            if file := locate(name, source):
                known += file.stat().st_size
            elif build:
                known += bytes_of(name)
    except UsageError:  # missing: reported elsewhere
        return 0
    return known
