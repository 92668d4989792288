"""bundle.json: all that a submission depends on, so that it can be made again; its writer and its reader.

The recipes as they were trained, the versions of all packages, the content of the data, threads and machine,
hashes of the weights before and after training and of the submission. `analysis.pipeline.reproduce` makes it
again.
"""

import importlib.metadata
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.predict.finishing import FinishPlan
from analysis.recipes import Recipe, labels_of, named_file
from analysis.submission import CSV, PREDICTIONS
from common.errors import UsageError
from common.files import sha256_of, write_json
from common.machine import cores, processor
from common.text import few
from dataset.fingerprint import content, fingerprint
from trial.config import TrialConfig
from trial.models.weights import hashes
from trial.run_folder.origin import code
from trial.run_folder.record import WEIGHTS, RunFolder

BUNDLE = "bundle.json"
VERSION = 1


@dataclass(frozen=True)
class Member:
    """A network of a submission.

    `recipe`: as it was trained, with the seed and the split of its trial; `stop_after`: the epoch after which
    training ended; `average`: the number of last epochs whose weights are averaged; `split`: in words;
    `compute`: threads, device, precision and number of processes (trial/process/compute.py); `start_weights`:
    {network: hash} of the pretrained files; `network`: the hash of its weights, None before it is trained;
    `trial_networks`: {file: hash} of those of the trial that a recipe was exported from; `label_files`:
    {name: hash} of the files that change labels (`recipes.labels_of`), {} if that is not known.
    """

    recipe: dict[str, Any]
    stop_after: int | None
    average: int
    split: str
    compute: dict[str, Any]
    start_weights: dict[str, str]
    network: str | None = None
    trial_networks: dict[str, str] = field(default_factory=dict)
    label_files: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Bundle:
    """`voted`: the submission is the members' soft vote. `data`: files, bytes and hash of the data, None if
    they were not at hand. `lock`: {package: version} of all that are installed. `files`: the hash of each
    file of the submission, {} before there is one. `decision`: of the decision layer, None if none was
    applied; `combined_photos`: whether the photos of a group were combined."""

    members: tuple[Member, ...]
    voted: bool
    tta: str
    data: dict[str, Any] | None
    data_fingerprint: str
    machine: dict[str, Any]
    code: dict[str, Any]
    lock: dict[str, str]
    files: dict[str, str]
    decision: dict[str, Any] | None = None
    combined_photos: bool = False

    @property
    def threads(self) -> int:
        return int(self.members[0].compute.get("threads") or 0)

    @property
    def processes(self) -> int:
        """That trained each network together."""
        return int(self.members[0].compute.get("processes") or 1)

    def places(self) -> dict[str, Any]:
        """Where it was trained, as fields of a recipe, apart from its kind of GPU."""
        on_cpu = self.processes > 1 and self.members[0].compute.get("device") == "cpu"
        return {"threads": self.threads} | ({"device": "cpu"} if on_cpu else {})

    @property
    def average(self) -> int:
        return self.members[0].average

    def recipes(self) -> list[Recipe]:
        """What is to be trained again."""
        return [Recipe(member.recipe, "from a bundle", member.stop_after) for member in self.members]


def of_runs(
    folders: Sequence[Path], data: Path, tta: str, average: int = 1, out: Path | None = None,
    planned: FinishPlan | None = None,
) -> Bundle:  # fmt: skip
    """The bundle of the submission in `out` by the retrained networks in `folders`: their vote, unless `out`
    is one of them. `planned`: what was done with their predictions."""
    runs = [RunFolder(folder) for folder in folders]
    origin, groups = runs[0].origin(), runs[0].task().groups
    members = [
        _member(run, run.config(), run.status()["epochs"], average, f"all {groups} trained on, none held out")
        for run in runs
    ]
    names = [name for name in (CSV, PREDICTIONS) if out and (out / name).is_file()]
    files = {name: sha256_of(out / name) for name in names} if out else {}
    made = _bundle(members, out not in folders, tta, content(data), origin, files)
    if planned is None:
        return made
    decision = planned.decision.to_json(planned.task) if planned.decision else None
    return replace(made, decision=decision, combined_photos=planned.groups is not None)


def of_trials(recipes: Sequence[Recipe]) -> Bundle:
    """The bundle of recipes that were exported from their trials and not yet retrained."""
    members, data, origin = [], None, {}
    for recipe in recipes:
        assert recipe.folder is not None
        run = RunFolder(recipe.folder)
        config, origin = run.config(), run.origin()
        folds = "over all folds" if config.fold == "all" else f"on fold {config.fold}"
        split = f"validated {folds} of {config.folds}, dealt by seed {config.seed}"
        members.append(_member(run, config, recipe.stop_after, 1, split, trained=False))
        place = Path(config.data)
        if place.is_dir() and fingerprint(place) == origin["data_fingerprint"]:
            data = content(place)
    return _bundle(members, True, "none", data, origin, {})


def _bundle(
    members: Sequence[Member], voted: bool, tta: str, data: dict[str, Any] | None, origin: Mapping[str, Any],
    files: dict[str, str],
) -> Bundle:  # fmt: skip
    return Bundle(
        tuple(members), voted, tta, data, origin["data_fingerprint"],
        {**origin.get("machine", {}), "processor": processor()}, origin.get("code", {}), lock(), files,
    )  # fmt: skip


def _member(
    run: RunFolder,
    config: TrialConfig,
    stop_after: int | None,
    average: int,
    split: str,
    trained: bool = True,
) -> Member:
    weights, start = run.folder / WEIGHTS, hashes(config.model, config.weights)
    network = sha256_of(weights) if trained and weights.is_file() else None
    kept = [] if trained else [path for path in run.weights_files() if path.is_file()]  # it may be damaged
    of_trial = {path.name: sha256_of(path) for path in kept}
    origin = run.origin()
    compute, labels = dict(origin.get("compute", {})), dict(origin.get("label_files", {}))
    return Member(config.recipe(), stop_after, average, split, compute, start, network, of_trial, labels)


@cache
def lock() -> dict[str, str]:
    """{package: version} of everything that is installed."""
    # Each .metadata and .version parses the file again.
    about = (one.metadata for one in importlib.metadata.distributions())
    return dict(sorted({str(one["Name"]).lower(): one["Version"] for one in about}.items()))


def write_bundle(out: Path, bundle: Bundle) -> Path:
    """Write OUT/bundle.json."""
    return write_json(out / BUNDLE, {"bundle": VERSION, **asdict(bundle)})


def read_bundle(path: Path) -> Bundle:
    """The bundle in a file, or in a submission's folder. UsageError if there is none, or it is damaged."""
    file = path / BUNDLE if path.is_dir() else path
    try:
        read = json.loads(file.read_text())
        if read.pop("bundle") != VERSION:
            raise ValueError(f"it is of another version than {VERSION}")
        members = tuple(Member(**member) for member in read.pop("members"))
        if not members:
            raise ValueError("it has no member")
        return Bundle(members=members, **read)
    except FileNotFoundError:
        raise UsageError(
            f"{file}: does not exist; export-best, retrain and export-best-and-retrain write one"
        ) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{file}: is damaged, or no bundle ({error})") from None


def data_difference(bundle: Bundle, data: Path) -> str:
    """By what the data differ from those of the bundle, '' if by nothing."""
    if bundle.data is None:
        same = fingerprint(data) == bundle.data_fingerprint
        return "" if same else "it has other files (by name, size and time) than the bundle was made with"
    here, there = content(data), bundle.data
    if here["sha256"] == there["sha256"]:
        return ""
    now, before = (f"{one['files']:,} files of {one['bytes']:,} bytes" for one in (here, there))
    if now == before:
        return f"it holds {now}, as the bundle was made with, but of other content"
    return f"it holds {now}, the bundle was made with {before}"


def label_difference(bundle: Bundle, configs: Sequence[TrialConfig]) -> str:
    """The file of labels or the teacher's run that is not the one that the bundle was made with, '' if all
    are."""
    for member, config in zip(bundle.members, configs, strict=True):
        here = labels_of(config)
        for name, there in member.label_files.items():
            if here.get(name) != there:
                return f"{named_file(name, config)}: holds other labels than the bundle was made with"
    return ""


def differences(bundle: Bundle, configs: Sequence[TrialConfig], processes: int = 1) -> list[str]:
    """Sentences on what differs here, with this number of `processes` for each network, from where the bundle
    was made, and may change the result."""
    found, here = [], lock()
    compute = bundle.members[0].compute
    device = compute.get("name") or compute.get("device")
    for what, there, now in (
        ("processor", bundle.machine.get("processor"), processor()),
        ("device", device, _device(configs[0].device) if device else None),  # not noted by early versions
        ("code", _commit(bundle.code), _commit(code())),
    ):
        if there != now:
            found.append(f"{what}: {there} there, {now} here")
    names = sorted(
        name for name in bundle.lock.keys() | here.keys() if bundle.lock.get(name) != here.get(name)
    )
    versions = [
        f"{name} {bundle.lock.get(name, 'none')} there, {here.get(name, 'none')} here" for name in names
    ]
    if versions:
        found.append(f"packages: {few(versions)}")
    if bundle.processes != processes:
        found.append(f"processes of a training: {bundle.processes} there, {processes} here")
    if bundle.threads > cores():
        found.append(f"threads: {bundle.threads} there, {cores()} cores here")
    for member, config in zip(bundle.members, configs, strict=True):
        if (weights := hashes(config.model, config.weights)) != member.start_weights:
            found.append(
                f"pretrained weights of {config.model}: {member.start_weights} there, {weights} here"
            )
    return found


def _device(wanted: str) -> str:
    """The name of the GPU that trains here, or 'cpu', if `wanted` is 'auto' or 'cpu'."""
    import torch  # pages import this module, and need no network

    return torch.cuda.get_device_name() if wanted != "cpu" and torch.cuda.is_available() else "cpu"


def other_precisions(made: Bundle, again: Bundle) -> list[str]:
    """[A sentence on the precision of networks that were trained again in another one], [] if there are none.
    That is known only now: it depends on the device and the network."""
    pairs = [
        tuple(one.compute.get("precision") for one in both)
        for both in zip(made.members, again.members, strict=True)
    ]
    return [
        f"precision: {there} there, {here} here"
        for there, here in dict.fromkeys(pairs)
        if there not in (None, here)
    ]


def _commit(of: Mapping[str, Any]) -> str:
    changes = of.get("changes")
    return f"commit {str(of.get('commit'))[:12]}" + (f" with changes {changes}" if changes else "")


def differing_files(bundle: Bundle, out: Path) -> list[str]:
    """The files of the submission in `out` that are not those of the bundle, byte for byte."""
    return [name for name, there in bundle.files.items() if sha256_of(out / name) != there]


def answers_that_differ(path: Path, out: Path) -> str:
    """' (3 of 100 answers differ)', if the submission still lies beside the bundle."""
    before = (path if path.is_dir() else path.parent) / CSV
    if not before.is_file():
        return ""
    one, other = (pd.read_csv(file, dtype=str)["ans"].to_numpy() for file in (before, out / CSV))
    return f" ({(one != other).sum():,} of {len(other):,} answers differ)" if len(one) == len(other) else ""
