"""The log of what was handed in, with what it promised and what the leaderboard said: its writer, its reader,
and what follows from it for the next one.

A gap is the leaderboard's score minus the promise. It is noise if it is within 95 % of what the promise's own
error and the draw of the people to predict explain.
"""

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import stdtrit

from analysis.submission import BEST_MEMBER, CSV, JSON, PREDICTIONS, metric_of, read_about
from common.errors import UsageError
from common.files import sha256_of, write_json
from common.log import output_of
from common.machine import PROJECT
from common.text import few, fixed_text, now, path_text
from dataset.tables import read_table
from trial.metrics import column_of, title_of

output = output_of(__name__)

LOG = PROJECT / "out" / "submissions.json"
NORMAL = 1.96  # 95 % of a normal distribution
DEPTH = 3  # folders below out/ in which candidates are looked for


@dataclass(frozen=True)
class Entry:
    """A submission.

    `sha256`: of its submission.csv, by which it is known; by the log loss, which answers alone do not decide,
    also by `predictions`, that of its predictions.csv ('' if that is not known). `promise` by `metric` with
    its 95 % interval, None if nothing was promised; `corrected`: for having been chosen as the best of many
    trials; `of`: whose it is, if not the submission's own. `noise`: the standard error of a score on as many
    photos as it predicts. `score`: what the leaderboard said. `photos`: a hash of the names of those that it
    answers ('' if that is not known).
    """

    submission: str
    sha256: str
    metric: str
    promise: float | None = None
    low: float | None = None
    high: float | None = None
    corrected: bool = False
    noise: float | None = None
    handed_in: str = ""
    score: float | None = None
    of: str = ""
    predictions: str = ""
    photos: str = ""

    def is_comparable(self, other: "Entry") -> bool:
        """Whether both are scored by one metric, and on the same photos, for all that is known."""
        apart = self.photos and other.photos and self.photos != other.photos
        return self.metric == other.metric and not apart

    def is_same(self, other: "Entry") -> bool:
        """Whether both are scored alike, for all that is known."""
        known = self.predictions and other.predictions
        return self.sha256 == other.sha256 and not (known and self.predictions != other.predictions)

    @property
    def gap(self) -> float | None:
        return None if self.score is None or self.promise is None else self.score - self.promise

    @property
    def margin(self) -> float | None:
        """What 95 % of gaps are within, if the promise is right."""
        if self.promise is None or self.low is None or self.high is None or self.noise is None:
            return None
        return NORMAL * math.hypot(_error(self.promise, self.low, self.high), self.noise)

    def verdict(self) -> str:
        """Whether the gap is noise."""
        if self.score is None:
            return "no score yet"
        if self.gap is None or self.margin is None:
            return "nothing was promised"
        if abs(self.gap) <= self.margin:
            return f"within noise (±{self.margin:.3f})"
        which = "higher" if self.gap > 0 else "lower"
        return f"more than noise (±{self.margin:.3f}): the leaderboard is {which}"


def _error(value: float, low: float, high: float) -> float:
    """The standard error by the wider side of an interval: the other one may be cut off, at 1."""
    return max(value - low, high - value) / NORMAL


def entry_of(submission: Path) -> Entry:
    """The entry of a submission: its folder, or the submission.csv in it. UsageError if it isn't one."""
    file = submission / CSV if submission.is_dir() else submission
    if not file.is_file():
        raise UsageError(f"{file}: does not exist; give a submission.csv, or the folder that holds it")
    about = read_about(file.parent)
    if about is None:
        raise UsageError(f"{file}: has no {JSON} beside it, which says what it promises")
    metric = metric_of(about)
    kept = [about.get(name) or {} for name in ("promise", BEST_MEMBER, "validation")]
    known = next((facts for facts in kept if column_of(metric) in facts), {})
    of = "the best member" if known and known is kept[1] else ""
    beside = file.with_name(PREDICTIONS)
    predictions = sha256_of(beside) if metric == "log_loss" and beside.is_file() else ""
    entry = Entry(
        str(file.resolve()), sha256_of(file), metric, of=of, predictions=predictions, photos=_photos(file)
    )
    value = known.get(column_of(metric))
    if value is None or known.get("low") is None or known.get("high") is None:
        return entry
    low, high = float(known["low"]), float(known["high"])
    return replace(
        entry, promise=float(value), low=low, high=high, corrected=known.get("chosen_from", 1) > 1,
        noise=_error(float(value), low, high) * math.sqrt(_photos_ratio(about, known.get("groups"))),
    )  # fmt: skip


def _photos(file: Path) -> str:
    """A hash of the names of the photos that a submission.csv answers, in any order; '' if it names none."""
    names = sorted(read_table(file, ["ImageID"])[0]["ImageID"])
    return hashlib.sha256("\n".join(names).encode()).hexdigest() if names else ""


def _photos_ratio(about: dict[str, Any], groups: int | None) -> float:
    """Photos behind the promise's interval per photo to predict: by how much the variance of a score on these
    is larger. The interval is over this number of `groups` (None: the validation's), with as many photos each
    as those of the validation. 1 if that is not known."""
    seen = about.get("validation") or {}
    try:
        each = seen["photos"] / seen["groups"]
        return float((groups or seen["groups"]) * each / max(int(about["photos"]), 1))
    except (KeyError, ValueError, TypeError, ZeroDivisionError):
        return 1.0


def read_log(path: Path) -> list[Entry]:
    """What was handed in, in order; [] if nothing was. UsageError if the file is damaged."""
    try:
        return [_with_photos(Entry(**one)) for one in json.loads(path.read_text())]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(f"{path}: is damaged ({error}); mend it, or move it away") from None


def _with_photos(entry: Entry) -> Entry:
    """The entry of an earlier version with the hash of its photos, if its file is still there."""
    file = Path(entry.submission)
    if entry.photos or not file.is_file() or sha256_of(file) != entry.sha256:
        return entry
    return replace(entry, photos=_photos(file))


def add(submission: Path, score: float | None = None, path: Path = LOG) -> Entry:
    """Note that a submission was handed in, or what its score was; it is printed if another one was known.
    Return its entry. UsageError if the score can't be one."""
    found = entry_of(submission)
    is_loss = found.metric == "log_loss"
    if score is not None and not 0 <= score <= (math.inf if is_loss else 1):
        wanted = "a log loss, which is 0 or more" if is_loss else f"a {title_of(found.metric)}, from 0 to 1"
        raise UsageError(f"--score {score}: not {wanted}")
    if score is not None and is_loss:
        score = -score  # as all scores here, higher is better
    log = read_log(path)
    at = next((place for place, entry in enumerate(log) if entry.is_same(found)), None)
    if at is None:
        log.append(replace(found, handed_in=now(), score=score))
        at = -1
    elif score is not None:
        if (before := log[at].score) not in (None, score):
            output.info(
                f"the leaderboard's score of {_name(log[at])} was {abs(before):.4f} before; it is replaced"
            )
        log[at] = replace(log[at], score=score)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, [asdict(entry) for entry in log])
    return log[at]


def bias(log: Sequence[Entry], one: Entry) -> tuple[float, float | None, int] | None:
    """(The mean gap of the submissions that are comparable with `one`, ± for 95 %, how many), None without
    any. All are scored on the same photos, so it holds for the next one too. ± needs two."""
    gaps = [entry.gap for entry in log if entry.is_comparable(one) and entry.gap is not None]
    if not gaps:
        return None
    margin = None
    if len(gaps) > 1:
        margin = float(stdtrit(len(gaps) - 1, 0.975) * np.std(gaps, ddof=1) / math.sqrt(len(gaps)))
    return float(np.mean(gaps)), margin, len(gaps)


def candidates(log: Sequence[Entry], root: Path) -> list[Entry]:
    """Submissions below `root` that were not handed in, the highest promise first, after all of these those
    whose promise is not corrected for the choice, and those without; without damaged ones, and without
    members of a vote."""
    found: list[Entry] = []
    for file in _submissions(root, DEPTH):
        try:
            entry = entry_of(file)
        except UsageError:
            continue
        if not any(entry.is_same(other) for other in [*log, *found]):
            found.append(entry)
    return sorted(
        found,
        key=lambda one: (one.promise is None, not one.corrected, -(one.promise or 0), one.submission),
    )


def _submissions(folder: Path, depth: int) -> Iterator[Path]:
    if (folder / CSV).is_file():
        yield folder / CSV
    elif depth and folder.is_dir():
        for below in sorted(folder.iterdir()):
            if below.is_dir() and not below.is_symlink():
                yield from _submissions(below, depth - 1)


def lines(log: Sequence[Entry], waiting: Sequence[Entry]) -> list[str]:
    """The log for people: each submission, the running bias, and what to send next."""
    found = [f"{len(log)} handed in" if log else "nothing was handed in yet"]
    for entry in log:
        score = "" if entry.score is None else f", leaderboard {fixed_text(entry.score)}"
        gap = "" if entry.gap is None else f", gap {entry.gap:+.3f}"
        when = entry.handed_in[:16].replace("T", " ")
        found.append(f"  {when}  {_name(entry)}: {_promise(entry)}{score}{gap}: {entry.verdict()}")
    kinds = list[Entry]()
    for entry in sorted(log, key=lambda one: not one.photos):  # one without is comparable with all
        kinds += [] if any(entry.is_comparable(kind) for kind in kinds) else [entry]
    for kind in kinds:
        if known := bias(log, kind):
            mean, margin, number = known
            error = "" if margin is None else f" ± {margin:.3f}"
            of = f" of the {title_of(kind.metric)}" if len({one.metric for one in kinds}) > 1 else ""
            of += f" on the photos of {_name(kind)}" if len({one.photos for one in kinds}) > 1 else ""
            found.append(
                f"running bias{of} (leaderboard minus promise): {mean:+.3f}{error} over {number} scored"
            )
    return [*found, *_next(log, waiting)]


def _next(log: Sequence[Entry], waiting: Sequence[Entry]) -> list[str]:
    sent = [entry for entry in log if entry.score is not None] or log
    able = [
        one for one in waiting
        if one.promise is not None and (not sent or any(one.is_comparable(other) for other in sent))
    ]  # fmt: skip
    if not able:
        return ["send next: no other submission with a promise was found"]
    first, *others = able
    assert first.promise is not None and first.low is not None and first.high is not None
    log = [one for one in log if one.is_comparable(first)]
    same = [one.promise for one in log if one.promise is not None and one.corrected == first.corrected]
    is_worse = bool(same) and first.high < max(same)
    what = "nothing better to send; the best of the others is" if is_worse else "send next:"
    words = f"{what} {_name(first)}: {_promise(first)}"
    if known := bias(log, first):
        words += f", {first.promise + known[0]:.3f} expected with the running bias"
    others = [one for one in others if one.is_comparable(first)]
    alike = [one for one in others if one.corrected == first.corrected]
    equal = [one for one in alike if one.promise is not None and one.promise >= first.low]
    if equal:
        words += f"; {', '.join(map(_name, equal[:3]))} may be as good"
    if same and first.promise < max(same):
        words += f"; what was sent promised more ({max(same):.3f})"
    if apart := [one for one in others if one.corrected != first.corrected]:
        names = few([_name(one) for one in apart], 3)
        words += f"; not compared, as their promises are not corrected for the choice: {names}"
    return [words]


def _promise(entry: Entry) -> str:
    if entry.promise is None:
        return "no promise"
    uncorrected = "" if entry.corrected else ", not corrected for the choice among trials"
    of = f" of {entry.of}" if entry.of else ""
    promise, low, high = (fixed_text(one or 0.0) for one in (entry.promise, entry.low, entry.high))
    return f"{title_of(entry.metric)} {promise} promised{of} ({low} to {high}{uncorrected})"


def _name(entry: Entry) -> str:
    return path_text(Path(entry.submission).parent)
