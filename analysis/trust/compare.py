"""Two runs against each other, by every metric, on the photos that both were validated on."""

from dataclasses import dataclass
from pathlib import Path

from analysis.trust.answers import common, counts_of, read_all
from analysis.trust.bootstrap import Interval, differences, intervals
from common.text import fixed_text
from trial.metrics import METRICS, title_of
from trial.run_folder.record import RunFolder


@dataclass(frozen=True)
class Comparison:
    """By metric: each run's score, and the first's minus the second's, of the `photos` that both answered;
    `alone`: how many only the first or only the second one did. `groups`: the task's word for groups."""

    scores: dict[str, tuple[Interval, Interval, Interval]]
    photos: int
    alone: tuple[int, int]
    groups: str

    def lines(self) -> list[str]:
        """For people, with a verdict in words by each metric."""
        some = next(iter(self.scores.values()))[2]
        lines = [f"{some.n_groups:,} {self.groups} ({self.photos:,} photos) that both were validated on"]
        if any(self.alone):
            lines.append(
                f"note: left out are {self.alone[0]:,} photos that only the first, and {self.alone[1]:,} "
                "that only the second one was validated on"
            )
        for metric, (one, other, gap) in self.scores.items():
            better = "the first is better" if gap.value > 0 else "the second is better"
            verdict = "not significantly different" if gap.contains_zero else better
            lines.append(
                f"{title_of(metric):17}  {fixed_text(one.value)} and {fixed_text(other.value)}: "
                f"difference {gap}, {verdict}"
            )
        if some.absent:
            lines.append(f"note: classes without a photo among these: {some.absent}")
        return lines


def compare(one: Path, other: Path) -> Comparison:
    """The comparison of two run folders. UsageError if they have no photo in common, disagree on what a photo
    is, or are damaged."""
    answers = read_all([one, other])
    both = common(*answers)
    counts, shared = counts_of(both), len(both[0].photos)
    scores = {}
    for metric in METRICS:
        mine, its = intervals(counts, metric)
        scores[metric] = mine, its, differences(counts, 1, metric)[0]
    first, second = (len(each.photos) - shared for each in answers)
    return Comparison(scores, shared, (first, second), RunFolder(one).task().groups)
