"""The leaders of a search that do not differ significantly, trained on further folds until one is left or the
budget is used."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from analysis.trials.ranking import Ranking
from analysis.trials.runs import groups_word
from analysis.trust.confirmed import Confirmed, Leader, Round, folder_of, forget, judge, staying
from common.errors import UsageError, all_at_once, first_line
from common.files import only_writer
from common.log import output_of
from common.text import counted
from dataset.fingerprint import fingerprint
from trial.config import PLACES, TrialConfig, parse
from trial.metrics import title_of
from trial.run import Report, run
from trial.run_folder.record import RunFolder, RunWriter
from trial.run_folder.resume import again, is_finished, other_data

output = output_of(__name__)

LEADERS = 5


@dataclass(frozen=True)
class Budget:
    """The number of networks to train, and the hours of training, in all calls together; None: any."""

    runs: int | None = None
    hours: float | None = None

    def allows(self, runs: int, seconds: float) -> bool:
        """Whether it is enough for that much in all."""
        return (self.runs is None or runs <= self.runs) and (
            self.hours is None or seconds <= 3600 * self.hours
        )

    def __str__(self) -> str:
        runs = [] if self.runs is None else [counted(self.runs, "network")]
        hours = [] if self.hours is None else [f"{self.hours:g} h of training"]
        return " and ".join(runs + hours)


def confirm(
    ranking: Ranking,
    budget: Budget,
    max_leaders: int | None = None,
    data: Path | None = None,
    places: Mapping[str, Any] | None = None,
) -> Confirmed | None:
    """Train the best of the leaders, which do not differ significantly in the search, at most `max_leaders`
    (default: LEADERS), on further folds, each round all of them on the same; those that fall behind are out.
    Write what is known after each round beside the trials, where the ranking reads it. None if the best one
    is significantly better than all others on the search's own groups; what was confirmed before, of other
    leaders, is forgotten then.

    Rounds take the other folds of the search's split, so that nobody is scored twice, then those of fresh
    seeds. A round is begun if the `budget` has room for all of it, or nothing of it is left to train: what
    an earlier call with another budget or more leaders has trained counts. Killed runs go on. `places`: where
    the runs run (device=...); `data`: default, where the search read it.

    UsageError, before anything is trained, if there is nothing to compare, the budget is too small for a
    round, or the data are not those of the search.
    """
    leaders, numbers = ranking.leaders, ranking.numbers
    max_leaders = max_leaders or max(LEADERS, len(ranking.confirmed.tried) if ranking.confirmed else 0)
    found = leaders.selection
    if found is None or len(leaders.compared) < 2:
        why = leaders.notes[0] if leaders.notes else "fewer than two trials have finished"
        raise UsageError(f"nothing to confirm: {why}")
    best = leaders.compared[found.winner]
    equal = [best, *(leaders.compared[one] for one in found.equal)]
    tied = equal[:max_leaders]
    groups = groups_word(RunFolder(best))
    if len(tied) < 2:
        all_compared = len(leaders.compared) == len(leaders.runs)
        others = "all other trials" if all_compared else "all others on the same photos"
        output.info(
            f"nothing to confirm: on the search's {found.promise.n_groups:,} {groups} #{numbers[best]} is "
            f"significantly better than {others}"
        )
        forget(best)
        return None
    configs = dict(zip(tied, _configs(tied, data, places or {}), strict=True))
    rounds = _Rounds(configs, numbers, ranking.metric, groups)
    tried = [run for runs in (ranking.repeats.runs if ranking.repeats else ()) for run in runs]
    some = further([*configs.values(), *(RunFolder(run).config() for run in tried)])
    first = next(some)
    if not rounds.has_room(budget, *first):
        runs, seconds = rounds.with_next(*first)
        too_long = budget.allows(runs, 0)
        need = f"takes about {seconds / 3600:.2g} h" if too_long else f"makes {counted(runs, 'network')}"
        raise UsageError(
            f"{budget} is too little: one network of each of {len(tied)} leaders {need}; "
            "give more, or compare fewer leaders: python -m analysis confirm, with --leaders"
        )
    of = f"the first {max_leaders} of {len(equal)}" if len(equal) > max_leaders else len(tied)
    output.info(
        f"{of} leaders are trained on further folds, within {budget}: "
        f"{', '.join(f'#{numbers[one]}' for one in tied)}"
    )
    with only_writer(rounds.folder):
        rounds.play(*first)
        for seed, fold in some:
            if len(rounds.alive) < 2 or not rounds.has_room(budget, seed, fold):
                break
            rounds.play(seed, fold)
    return rounds.confirmed


def further(configs: Sequence[TrialConfig]) -> Iterator[Round]:
    """(seed, fold) of the first config's split that none of the trials with these configs was validated on,
    then of the seeds after it."""
    first = configs[0]
    used = {(one.seed, fold) for one in configs for fold in one.fold_numbers}
    every = ((seed, fold) for seed in count(first.seed) for fold in range(first.folds))
    return (one for one in every if one not in used)


def _configs(runs: Sequence[Path], data: Path | None, places: Mapping[str, Any]) -> list[TrialConfig]:
    """The configs of the runs' recipes, to be trained here. UsageError with all mistakes."""
    if other := sorted(set(places) - set(PLACES) | {"data", "out"} & set(places)):
        raise UsageError(
            f"{', '.join(other)}: leaders are compared as they are; only where they run can be given "
            f"({', '.join(name for name in PLACES if name not in ('data', 'out'))})"
        )
    own = [RunFolder(one) for one in runs]
    here = {**places, **({"data": str(data)} if data else {})}
    configs = all_at_once(*(partial(parse, {**one.config().to_json(), **here}) for one in own))
    # Once for a set: it looks at all photos.
    now = {one: fingerprint(Path(one)) for one in dict.fromkeys(config.data for config in configs)}
    pairs = zip(own, configs, strict=True)
    unlike = [other_data(one, config.recipe(), config.data, now=now[config.data]) for one, config in pairs]
    if any(unlike):
        raise UsageError(dict.fromkeys(f"the search {other}" for other in unlike if other))
    return configs


class _Rounds:
    """The leaders that are still compared (`alive`), and what their runs have said so far."""

    def __init__(
        self, configs: Mapping[Path, TrialConfig], numbers: Mapping[Path, Any], metric: str, groups: str
    ):
        self.configs, self.numbers, self.metric, self.groups = configs, numbers, metric, groups
        self.alive = list(configs)
        self.folder = folder_of(self.alive[0])
        self.trained: dict[Path, list[Path]] = {leader: [] for leader in configs}
        self.finished: dict[Path, bool] = {}  # {run: whether an earlier call has trained it}
        self.rounds: list[Round] = []
        self.known: dict[Path, Leader] = {}
        self.failed: list[str] = []
        self.runs, self.seconds = 0, 0.0
        self.confirmed: Confirmed | None = None

    def has_room(self, budget: Budget, seed: int, fold: int) -> bool:
        """Whether a round is trained already, or the budget allows it."""
        is_trained = all(self._is_trained(leader, seed, fold) for leader in self.alive)
        return is_trained or budget.allows(*self.with_next(seed, fold))

    def with_next(self, seed: int, fold: int) -> tuple[int, float]:
        """Runs, and seconds of training, with those of a round; a leader's last run tells how long the next
        one takes, unless it is trained already."""
        more = 0.0
        for leader in self.alive:
            in_search = _seconds(leader) / len(self.configs[leader].fold_numbers)  # of one of its networks
            latest = [in_search, *map(_seconds, self.trained[leader])][-1]
            is_trained = self._is_trained(leader, seed, fold)
            more += _seconds(self._run(leader, seed, fold)) if is_trained else latest
        return self.runs + len(self.alive), self.seconds + more

    def _run(self, leader: Path, seed: int, fold: int) -> Path:
        return self.folder / leader.name / f"seed{seed}_fold{fold}"

    def _config(self, leader: Path, seed: int, fold: int) -> TrialConfig:
        folds, out = next(iter(self.configs.values())).folds, str(self._run(leader, seed, fold))
        return replace(
            self.configs[leader], fold=fold, folds=folds, seed=seed, fold_order="lockstep", out=out
        )

    def _is_trained(self, leader: Path, seed: int, fold: int) -> bool:
        """Whether an earlier call has trained it. Looked up once: the photos' fingerprint is part of it."""
        run = self._run(leader, seed, fold)
        if run not in self.finished:
            self.finished[run] = is_finished(run, self._config(leader, seed, fold))
        return self.finished[run]

    def play(self, seed: int, fold: int) -> None:
        """Train the leaders on a fold, and let those go that are behind then."""
        for leader in list(self.alive):
            folder = self._run(leader, seed, fold)
            name = f"#{self.numbers[leader]}, fold {fold} of seed {seed}"
            try:
                if not self._is_trained(leader, seed, fold):
                    train(self._config(leader, seed, fold), folder, name)
                self.trained[leader].append(folder)
            except (UsageError, ArithmeticError, RuntimeError) as error:  # RuntimeError: out of memory, too
                output.info(f"{name} failed, so #{self.numbers[leader]} is left out: {first_line(error)}")
                self.alive.remove(leader)
                self.known.pop(leader, None)
                self.failed.append(leader.name)
            self.runs, self.seconds = self.runs + 1, self.seconds + _seconds(folder)
        if not self.alive:
            raise UsageError("none of the leaders could be trained on a further fold")
        self.rounds.append((seed, fold))
        self._judge()

    def _judge(self) -> None:
        found, scores = judge([self.trained[leader] for leader in self.alive], self.metric)
        for place, (leader, score) in enumerate(zip(self.alive, scores, strict=True)):
            gap = None if place == found.winner else found.behind_by[place]
            recipe = self.configs[leader].recipe()
            self.known[leader] = Leader(leader.name, score, len(self.rounds), gap, recipe)
        kept = [self.alive[one] for one in staying(found)]
        gone = [leader for leader in self.alive if leader not in kept]
        self.alive = sorted(kept, key=lambda leader: (leader != kept[0], -self.known[leader].score.value))
        ended = [leader for leader in self.known if leader not in kept]
        ended.sort(key=lambda leader: (-self.known[leader].rounds, -self.known[leader].score.value))
        self.confirmed = Confirmed(
            self.metric, tuple(self.known[leader] for leader in (*self.alive, *ended)), found.promise,
            found.flattered, tuple(self.rounds), self.runs, round(self.seconds, 1), tuple(self.failed),
        )  # fmt: skip
        self.confirmed.write(self.folder)
        first = self.known[kept[0]].score
        output.info(
            f"round {len(self.rounds)}, {first.n_groups:,} {self.groups}: first #{self.numbers[kept[0]]}, "
            f"{title_of(self.metric)} {first}"
        )
        for leader in gone:
            output.info(f"  #{self.numbers[leader]} is behind: {self.known[leader].difference}")


def _seconds(folder: Path) -> float:
    return float(RunFolder(folder).status().get("seconds") or 0)


def train(config: TrialConfig, folder: Path, name: str) -> None:
    """Train a run, called `name` in what is printed; one that was killed goes on."""

    def on_report(report: Report) -> None:
        if not report.earlier:
            score = f"{title_of(config.metric)} {report.score:.4f}"
            output.info(f"{name}, {report.done}  {score}  {report.seconds:.1f} s")

    checkpoint = again(folder, config, None)
    with RunWriter(folder, config, again=True, checkpoint=checkpoint) as writer:
        run(config, writer, on_report, checkpoint)
