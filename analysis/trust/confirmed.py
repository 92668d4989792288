"""What more folds and seeds say of a search's leaders that do not differ significantly on its validation
groups: judged, written and read here; trained by analysis/confirm.py."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from analysis.trust.answers import counts_of, joined, read_all
from analysis.trust.bootstrap import Interval, intervals, observed
from analysis.trust.curves import curves_of, whole_curve
from analysis.trust.selection import Selection, select
from common.errors import UsageError
from common.files import NUMBER, read_object, write_json
from common.text import counted
from trial.config import parse
from trial.run_folder.record import RunFolder
from trial.run_folder.resume import differences

FOLDER, FILE = "confirm", "confirmed.json"
Round = tuple[int, int]  # seed, fold


@dataclass(frozen=True)
class Leader:
    """A trial that was confirmed: its id, its score on the groups of all its `rounds`, by how much this
    differs from the best leader's on the same groups (None for the best one), and its recipe ({} in files of
    earlier versions)."""

    trial: str
    score: Interval
    rounds: int
    difference: Interval | None
    recipe: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_behind(self) -> bool:
        """Whether the difference says that it is worse."""
        return self.difference is not None and self.difference.high < 0


@dataclass(frozen=True)
class Confirmed:
    """`leaders`: the best one, those not significantly different, best first, and those that fell behind.
    `promise`: the score of the best one on new groups, corrected by `corrected_by` for having chosen it.
    `rounds`: the folds on which they were trained again, `runs` networks, `seconds` of training in all.
    `failed`: the leaders' trials that could not be trained on one of these folds, and are left out."""

    metric: str
    leaders: tuple[Leader, ...]
    promise: Interval
    corrected_by: float
    rounds: tuple[Round, ...]
    runs: int
    seconds: float
    failed: tuple[str, ...] = ()

    @property
    def trials(self) -> tuple[str, ...]:
        """The leaders' trials."""
        return tuple(one.trial for one in self.leaders)

    @property
    def tried(self) -> tuple[str, ...]:
        """The trials that were confirmed or failed there."""
        return (*self.trials, *self.failed)

    @property
    def equal(self) -> tuple[str, ...]:
        """The trials that are not significantly different from the best one."""
        return tuple(one.trial for one in self.leaders[1:] if not one.is_behind)

    @property
    def behind(self) -> tuple[str, ...]:
        """The trials that are worse than the best one."""
        return tuple(one.trial for one in self.leaders if one.is_behind)

    @property
    def where(self) -> str:
        """'4 further folds'"""
        return counted(len(self.rounds), "further fold")

    def write(self, folder: Path) -> Path:
        """Write it into `folder`, with the best one and its equals named for other programs."""
        named = {"winner": self.trials[0], "equal_within_noise": self.equal}
        return write_json(folder / FILE, named | asdict(self))


def read_confirmed(folder: Path) -> Confirmed | None:
    """What `Confirmed.write` wrote into `folder`; None if there is nothing. UsageError if it is damaged."""
    kinds: dict[str, Any] = {
        "metric": (str,), "leaders": (list,), "promise": (dict,), "corrected_by": NUMBER, "rounds": (list,),
        "runs": (int,), "seconds": NUMBER,
    }  # fmt: skip
    try:
        read = read_object(folder / FILE, kinds, {"failed": (list,)})
        leaders = [
            Leader(one["trial"], Interval(**one["score"]), one["rounds"],
                   None if one["difference"] is None else Interval(**one["difference"]),
                   dict(one.get("recipe", {})))
            for one in read["leaders"]
        ]  # fmt: skip
        rounds = [(seed, fold) for seed, fold in read["rounds"]]
        own = {name: read[name] for name in ("metric", "corrected_by", "runs", "seconds")}
        return Confirmed(
            **own, leaders=tuple(leaders), promise=Interval(**read["promise"]), rounds=tuple(rounds),
            failed=tuple(read.get("failed", ())),
        )  # fmt: skip
    except FileNotFoundError:
        return None
    except (TypeError, KeyError, ValueError) as error:
        raise UsageError(f"{folder / FILE}: is damaged ({error!r})") from None


def folder_of(run: Path) -> Path:
    """Where the leaders of the search that the run folder belongs to are confirmed: beside an experiment's
    trials, or in the folder of runs. No run in it counts as one of the search."""
    parent = run.resolve().parent
    return (parent.parent if parent.name == "trials" else parent) / FOLDER


def forget(run: Path) -> None:
    """Remove what is known of the leaders of the search that the run folder belongs to."""
    (folder_of(run) / FILE).unlink(missing_ok=True)


def known_of(
    leading: Sequence[Path], metric: str, listed: Collection[str] = ()
) -> tuple[Confirmed | None, str]:
    """(What is known of the leaders, a sentence on why it does not hold). `leading`: the first run folders of
    the ranking by the search's own scores, best first; `listed`: the names of all that are looked at, which
    may be a part of the search."""
    if not leading:
        return None, ""
    try:
        found = read_confirmed(folder_of(leading[0]))
    except UsageError as error:
        return None, f"the leaders were confirmed, but {error}"
    if found is None:
        return None, ""
    by_name = {run.name: run for run in leading}
    if (
        found.metric == metric
        and leading[0].name in found.tried
        and found.trials[0] in by_name
        and not any(_has_changed(by_name[one.trial], one) for one in found.leaders if one.trial in by_name)
    ):
        return found, ""
    if any((leading[0].parent / trial).is_dir() for trial in set(found.tried) - set(listed)):
        return None, ""  # that command is for all of the search
    return None, "the search has other leaders than when they were confirmed; give that command again"


def _has_changed(run: Path, leader: Leader) -> bool:
    """Whether the run folder holds another recipe than the one that was confirmed."""
    if not leader.recipe:
        return False
    try:
        then = parse(leader.recipe, present=False).recipe()  # a field that came later has its default
    except UsageError:
        return True
    return bool(differences(then, RunFolder(run).config().recipe(), longer=False))


def judge(runs: Sequence[Sequence[Path]], metric: str) -> tuple[Selection, list[Interval]]:
    """The choice among leaders by the run folders of each, one a round, and the leaders' scores. They are
    ranked as trials are whose folds are trained together: by the `whole_curve` of their runs."""
    counts = counts_of([joined(read_all(own)) for own in runs])
    rounds = [
        [
            {epoch: score for epoch, score in enumerate(one) if score == score}
            for one in curves_of(own, metric)
        ]
        for own in runs
    ]
    scores = observed(counts, metric)
    whole = [whole_curve(own, float(score)) for own, score in zip(rounds, scores, strict=True)]
    curves = np.array(list(zip_longest(*whole, fillvalue=np.nan))).T
    return select(counts, metric, curves), intervals(counts, metric)


def staying(found: Selection) -> list[int]:
    """The best one, and those that are not behind it."""
    others = (one for one, gap in enumerate(found.behind_by) if gap.high >= 0)
    return [found.winner, *(one for one in others if one != found.winner)]
