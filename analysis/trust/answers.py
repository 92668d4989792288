"""The validation answers of runs, and the counts per group that every metric is computed from."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from common.errors import UsageError, all_at_once
from common.text import counted, few
from trial.probabilities import log_given, not_probabilities
from trial.run_folder.predictions import probabilities_of, probability_columns
from trial.run_folder.record import VALIDATION, RunFolder

RUN_FOLDERS = "run folders; a search has its own in out/experiments/ID/trials/"


@dataclass(frozen=True, eq=False)
class Answers:
    """What a network answered for photos that it was not trained on.

    `source`: the file, for messages. Of every photo: its name, `groups` (the name of its group), `labels` and
    `predicted` (0 to `n_classes` - 1), `log_probability` given to its class (None if only classes are known).
    """

    source: str
    photos: np.ndarray
    groups: np.ndarray
    labels: np.ndarray
    predicted: np.ndarray
    n_classes: int
    log_probability: np.ndarray | None = None

    def part(self, rows: np.ndarray) -> "Answers":
        """Only these photos."""
        log = None if self.log_probability is None else self.log_probability[rows]
        kept = (self.photos[rows], self.groups[rows], self.labels[rows], self.predicted[rows])
        return Answers(self.source, *kept, self.n_classes, log)


def answers_of(table: pd.DataFrame, source: str) -> Answers:
    """The answers in a table of predictions (photo, group, label, p00, ...), sorted by photo. UsageError,
    which names `source`, if they can't be right."""
    table = checked(table, source)
    probabilities = probabilities_of(table)
    labels = table["label"].to_numpy()
    return Answers(
        source, table["photo"].to_numpy(str), table["group"].to_numpy(str), labels, probabilities.argmax(1),
        probabilities.shape[1], log_given(probabilities, labels),
    )  # fmt: skip


def checked(table: pd.DataFrame, source: str) -> pd.DataFrame:
    """A table of predictions sorted by photo: photo and group as text, label, and p00, ... as float64.
    UsageError, which names `source`, if it can't be right."""
    if missing := [name for name in ("photo", "group", "label") if name not in table]:
        raise UsageError(f"{source}: no column {', '.join(missing)}")
    try:
        probabilities = probabilities_of(table).astype(np.float64)
    except (ValueError, TypeError):
        raise UsageError(f"{source}: a probability that is not a number") from None
    n_classes = probabilities.shape[1]
    table = table[["photo", "group", "label"]].astype({"photo": str, "group": str})
    errors = []
    if table.empty or not n_classes:
        raise UsageError(f"{source}: holds no answers")
    if twice := sorted(set(map(str, table["photo"][table["photo"].duplicated()]))):
        errors.append(f"{source}: photos with several answers: {few(twice)}")
    labels = table["label"].to_numpy()
    if not np.isin(labels, np.arange(n_classes)).all():
        wrong = few([str(one) for one in np.setdiff1d(labels, np.arange(n_classes))])
        errors.append(f"{source}: labels that are none of its {n_classes} classes: {wrong}")
    finite = np.asarray(np.isfinite(probabilities).all(1))
    if not finite.all():
        errors.append(
            f"{source}: {counted((~finite).sum(), 'photo')} with a probability that is not a number"
        )
    if (off := finite & not_probabilities(probabilities)).any():
        errors.append(f"{source}: {counted(off.sum(), 'photo')} whose probabilities do not sum to 1")
    if errors:
        raise UsageError(errors)
    columns = pd.DataFrame(probabilities, table.index, probability_columns(n_classes))
    table = table.astype({"label": np.int64}).join(columns)
    return table.sort_values("photo", kind="stable", ignore_index=True)


def read_answers(run: Path) -> Answers:
    """The validation answers of a run folder. UsageError if it has none, or if they are damaged."""
    return answers_of(_read(run), str(run / VALIDATION))


def read_probabilities(run: Path) -> pd.DataFrame:
    """The validation probabilities of a run folder, `checked`. UsageError as `read_answers`."""
    return checked(_read(run), str(run / VALIDATION))


def _read(run: Path) -> pd.DataFrame:
    path = run / VALIDATION
    try:
        return RunFolder(run).validation()
    except FileNotFoundError:
        if not run.is_dir():
            raise UsageError(f"{run}: does not exist; give {RUN_FOLDERS}") from None
        raise UsageError(
            f"{path}: does not exist: the run did not end an epoch, or was trained on all groups"
        ) from None


def validation_of(run: Path) -> pd.DataFrame:
    """The content of a run's validation.parquet. UsageError if it is damaged; FileNotFoundError if there is
    none."""
    table = RunFolder(run).validation()
    checked(table, str(run / VALIDATION))
    return table


def read_all(runs: Sequence[Path]) -> list[Answers]:
    """The validation answers of runs. UsageError with what is wrong with any of them."""
    return all_at_once(*(partial(read_answers, run) for run in runs))


def differing(one: Answers, other: Answers) -> str:
    """What keeps two runs' answers from being compared photo by photo, '' if nothing does."""
    if one.n_classes != other.n_classes:
        return f"has {other.n_classes} classes, {one.source} {one.n_classes}"
    if not np.array_equal(one.photos, other.photos):
        alone = len(np.setdiff1d(other.photos, one.photos)), len(np.setdiff1d(one.photos, other.photos))
        return f"has {alone[0]:,} photos that {one.source} lacks, and lacks {alone[1]:,} of its photos"
    if (n := int((one.labels != other.labels).sum())) or (n := int((one.groups != other.groups).sum())):
        what = "labels" if (one.labels != other.labels).any() else "groups"
        return f"has other {what} of {n:,} photos than {one.source}"
    return ""


def common(one: Answers, other: Answers) -> tuple[Answers, Answers]:
    """Both runs' answers to the photos that both answered. UsageError if there are none, or if they disagree
    on what these photos are."""
    _, mine, its = np.intersect1d(one.photos, other.photos, return_indices=True)
    if not len(mine):
        raise UsageError(
            f"{other.source}: has no photo in common with {one.source} (another fold or other data): a "
            "paired comparison needs groups that both predicted"
        )
    one, other = one.part(mine), other.part(its)
    if words := differing(one, other):
        raise UsageError(f"{other.source}: {words}")
    return one, other


def joined(parts: Sequence[Answers]) -> Answers:
    """One recipe's answers of several runs, one after the other; a photo may be in several."""
    first, logs = parts[0], [one.log_probability for one in parts]
    photos, groups, labels, predicted = (
        np.concatenate([getattr(one, name) for one in parts])
        for name in ("photos", "groups", "labels", "predicted")
    )
    log: np.ndarray | None = None
    if not any(one is None for one in logs):
        log = np.concatenate(logs)  # type: ignore[arg-type]
    return Answers(first.source, photos, groups, labels, predicted, first.n_classes, log)


@dataclass(frozen=True, eq=False)
class Counts:
    """What the metrics of R recipes are computed from, group by group, as float32.

    `truth` (groups, classes): photos of each class. `given` and `hits` (groups, recipes, classes): those
    predicted to be of the class, and rightly so. `log_probability` (groups, recipes): the sum over the
    group's photos, None if only classes are known.
    """

    truth: np.ndarray
    given: np.ndarray
    hits: np.ndarray
    log_probability: np.ndarray | None = None

    @property
    def n_groups(self) -> int:
        return len(self.truth)

    @property
    def n_recipes(self) -> int:
        return self.given.shape[1]

    @property
    def absent(self) -> int:
        """How many classes have no photo."""
        return int((self.truth.sum(0) == 0).sum())

    def recipes(self, some: slice | Sequence[int]) -> "Counts":
        """Only these recipes."""
        log = None if self.log_probability is None else self.log_probability[:, some]
        return Counts(self.truth, self.given[:, some], self.hits[:, some], log)


def counts_of(answers: Sequence[Answers]) -> Counts:
    """The counts of several runs on the same photos. UsageError if they answered other photos, or disagree on
    what these are."""
    first, *others = answers
    if errors := [f"{other.source}: {words}" for other in others if (words := differing(first, other))]:
        raise UsageError(errors)
    predicted = np.stack([one.predicted for one in answers], 1)
    given_log = [one.log_probability for one in answers]
    log = None if any(one is None for one in given_log) else np.stack(given_log, 1)  # type: ignore[arg-type]
    return count(first.labels, predicted, first.groups, first.n_classes, log)


def count(
    labels: np.ndarray, predicted: np.ndarray, groups: np.ndarray, n_classes: int,
    log_probability: np.ndarray | None = None,
) -> Counts:  # fmt: skip
    """The counts of `predicted` (photos, recipes), against `labels` (photos,) of photos in `groups`
    (photos,)."""
    names, row = np.unique(groups, return_inverse=True)
    cells, shape = len(names) * n_classes, (len(names), n_classes)
    labels = np.asarray(labels, np.int64)
    at = row.astype(np.int64) * n_classes
    truth = np.bincount(at + labels, minlength=cells).reshape(shape)
    given = np.empty((len(names), predicted.shape[1], n_classes), np.float32)
    hits = np.empty_like(given)
    for recipe, own in enumerate(np.asarray(predicted, np.int64).T):
        given[:, recipe] = np.bincount(at + own, minlength=cells).reshape(shape)
        hits[:, recipe] = np.bincount((at + own)[own == labels], minlength=cells).reshape(shape)
    log = None
    if log_probability is not None:
        log = np.zeros((len(names), predicted.shape[1]))
        np.add.at(log, row, log_probability)
    return Counts(truth.astype(np.float32), given, hits, log)
