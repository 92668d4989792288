"""Which parameters decide the score of a search, and what one value gives against another, from its trials.

Importance is Optuna's PED-ANOVA (Watanabe, Bansal and Hutter 2023; nested choices: arXiv 2601.20800): how
much the values of the best quarter of the trials differ from those of all. Its bootstrap interval is over
trials; what a parameter without any influence would show is found by shuffling the scores.

An effect is 'B instead of A with the rest equal', by least squares of the score on all searched parameters at
once. Names are dummies; numbers are linear and squared, as logarithms if they span a factor of LOG_FROM; a
nested parameter counts only where it is active, about its mean there. The other usual way, pairs of the
nearest trials, is worse (docs/report.md), since no two trials of a search over ten parameters are near.
"""

import copy
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd
from scipy.special import stdtrit  # scipy.stats takes half a second to import

from common.text import few, is_missing, value_text

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

MIN_TRIALS = 20  # the best quarter of fewer is under five trials, too few for a density
MAX_TRIALS = 200  # a random sample of more is enough, and takes seconds
BEST = 0.25  # of the trials
RESAMPLES = 100
SHUFFLES = 40  # 'more than chance' means more than in any of these
MIN_FREEDOM = 10  # trials beyond the terms of the regression
MIN_EACH = 3  # trials with a value that is compared
LOG_FROM = 20  # a scale whose ends differ by this factor is logarithmic
MAX_CATEGORIES = 6  # up to that many numbers, each of two trials on average, are names, not a scale
TOO_FEW = "too few trials to say"


@dataclass(frozen=True)
class Importance:
    """A parameter's fraction of all importance, with a 95 % interval; `by_chance`: one without any
    influence may show as much."""

    name: str
    value: float
    low: float
    high: float
    by_chance: bool

    def __str__(self) -> str:
        chance = ", no more than chance would show" if self.by_chance else ""
        return f"{self.name}: {self.value:.0%} ({self.low:.0%} to {self.high:.0%}){chance}"


@dataclass(frozen=True)
class Effect:
    """What `value` of the parameter `name` gives instead of `other` with the rest equal: `effect` ± `margin`
    (95 %). `trials`: with the one and with the other; (0, 0) of a scale, whose quartiles are compared."""

    name: str
    value: str
    other: str
    effect: float
    margin: float
    trials: tuple[int, int]

    @property
    def contains_zero(self) -> bool:
        return abs(self.effect) <= self.margin

    @property
    def what(self) -> str:
        """'loss focal instead of cross_entropy'."""
        return f"{self.name} {self.value} instead of {self.other}"

    def __str__(self) -> str:
        one, other = self.trials
        by = f" ({one} and {other} trials)" if one else ""
        return f"{self.what}: {self.effect:+.3f} ± {self.margin:.3f}{by}"


@dataclass(frozen=True)
class Attribution:
    """`importance`, the highest first; `effects`, the largest first; `notes` on what can't be said.
    `n_trials`: finished trials with a score."""

    n_trials: int
    importance: tuple[Importance, ...]
    effects: tuple[Effect, ...]
    notes: tuple[str, ...]


def as_numbers(values: pd.Series) -> pd.Series | None:
    """A parameter's values as floats, nan where it has none; None if they are names."""
    known = values.notna() & (values.astype(str) != "")
    if any(type(value) is bool for value in values[known]):
        return None
    numbers = pd.to_numeric(values.where(known), errors="coerce").astype(float)
    return numbers if numbers[known].notna().all() else None


def is_scale(numbers: pd.Series) -> bool:
    """Whether numbers are to be read as a scale, not as a few names."""
    return numbers.nunique() > min(MAX_CATEGORIES, numbers.notna().sum() / 2)


def is_log(low: float, high: float) -> bool:
    return low > 0 and high / low >= LOG_FROM


def attribute(values: pd.DataFrame, scores: pd.Series) -> Attribution:
    """The attribution of `scores` (higher is better) to the searched parameters `values`, a row per finished
    trial; a nested parameter (loss.gamma) is missing where it is not active."""
    kept = scores.notna()
    values, scores = values[kept].reset_index(drop=True), scores[kept].reset_index(drop=True)
    columns, notes = _columns(values)
    n_trials = len(scores)
    if not columns:
        return Attribution(n_trials, (), (), (*notes, "nothing was searched"))
    if n_trials < MIN_TRIALS:  # one parameter may decide another by chance here: notes on that are dropped
        why = f"importance: {TOO_FEW} ({n_trials} finished, {MIN_TRIALS} are needed)"
        return Attribution(n_trials, (), *_effects(columns, scores, (why,)))
    found = _importance(columns, scores.to_numpy(float))
    return Attribution(n_trials, found, *_effects(columns, scores, tuple(notes)))


def _columns(values: pd.DataFrame) -> tuple[dict[str, pd.Series], list[str]]:
    """The columns that vary: floats of a scale, else text; and a note on those that another one decides."""
    columns: dict[str, pd.Series] = {}
    for name in values:
        numbers = as_numbers(values[name])
        scale = numbers is not None and is_scale(numbers)
        column = numbers if numbers is not None and scale else values[name].map(_text)
        if column.nunique() > 1:
            columns[str(name)] = column
    decided = {
        name: other for place, (name, column) in enumerate(columns.items())
        for before, (other, by) in enumerate(columns.items())
        if name != other and _decides(by, column, or_equal=before < place)
    }  # fmt: skip
    notes = [f"{name} is decided by {other}: it has no effect of its own" for name, other in decided.items()]
    return {name: column for name, column in columns.items() if name not in decided}, notes


def _text(value: Any) -> str | None:
    return None if is_missing(value) else value_text(value)


def _decides(one: pd.Series, other: pd.Series, or_equal: bool) -> bool:
    """Whether each value of a column of names goes with one value of another, coarser one (`or_equal`: or as
    fine a one)."""
    if any(column.dtype == float or column.isna().any() for column in (one, other)):
        return False
    if other.nunique() >= one.nunique() + or_equal:
        return False
    return bool((other.groupby(one).nunique() == 1).all())


def _importance(columns: Mapping[str, pd.Series], scores: np.ndarray) -> tuple[Importance, ...]:
    random = np.random.default_rng(0)
    rows = np.arange(len(scores))
    if len(rows) > MAX_TRIALS:
        rows = np.sort(random.choice(len(rows), MAX_TRIALS, replace=False))
    trials = _trials(columns, scores, rows)
    names, scores = list(columns), scores[rows]
    seen = _divergences(trials, names)
    some = [
        _divergences([trials[one] for one in random.integers(len(trials), size=len(trials))], names)
        for _ in range(RESAMPLES)
    ]
    shuffled = [_divergences(_with(trials, random.permutation(scores)), names) for _ in range(SHUFFLES)]
    low, high = np.quantile([_fractions(one) for one in some], (0.025, 0.975), 0)
    chance, value = np.max(shuffled, 0), _fractions(seen)
    # The resamples' fractions are drawn together by their noise, so the interval may miss the value itself.
    found = [
        Importance(name, float(value[i]), float(min(low[i], value[i])), float(max(high[i], value[i])),
                   bool(seen[i] <= chance[i]))
        for i, name in enumerate(names)
    ]  # fmt: skip
    return tuple(sorted(found, key=lambda one: -one.value))


def _fractions(divergences: np.ndarray) -> np.ndarray:
    return divergences / (divergences.sum() or 1)


def _trials(columns: Mapping[str, pd.Series], scores: np.ndarray, rows: np.ndarray) -> list["FrozenTrial"]:
    from optuna.distributions import CategoricalDistribution, FloatDistribution
    from optuna.trial import create_trial

    spaces: dict[str, BaseDistribution] = {}
    for name, column in columns.items():
        if column.dtype == float:
            low, high = float(column.min()), float(column.max())
            spaces[name] = FloatDistribution(low, high, log=is_log(low, high))
        else:
            spaces[name] = CategoricalDistribution(sorted(column.dropna().unique()))
    trials = []
    for row in rows:
        active = {name: column[row] for name, column in columns.items() if pd.notna(column[row])}
        own = {name: spaces[name] for name in active}
        trials.append(create_trial(params=active, distributions=own, value=float(scores[row])))
    for number, trial in enumerate(trials):
        trial._trial_id = number  # by which the evaluator tells them apart
    return trials


def _with(trials: Sequence["FrozenTrial"], scores: np.ndarray) -> list["FrozenTrial"]:
    """The same trials with other scores."""
    copies = [copy.copy(trial) for trial in trials]
    for trial, score in zip(copies, scores, strict=True):
        trial.value = float(score)
    return copies


def _divergences(trials: list["FrozenTrial"], names: Sequence[str]) -> np.ndarray:
    """(parameters,) by PED-ANOVA, in the order of `names`.

    The evaluator asks a study for its trials and its direction only; filling a real study for every resample
    would take several times as long."""
    from optuna.importance import PedAnovaImportanceEvaluator
    from optuna.study import Study, StudyDirection

    study = SimpleNamespace(
        directions=[StudyDirection.MAXIMIZE],
        _is_multi_objective=lambda: False,
        get_trials=lambda **wanted: trials,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on values of a single trial, which are left out
        found = PedAnovaImportanceEvaluator(target_quantile=BEST).evaluate(cast(Study, study))
    return np.array([found.get(name, 0.0) for name in names])


@dataclass(frozen=True)
class _Terms:
    """Columns of a regression for one parameter, and the contrasts to ask for: (value, other, trials, by what
    each of its columns changes). `rare`: (value, trials) of those with fewer than MIN_EACH."""

    columns: np.ndarray
    contrasts: list[tuple[str, str, tuple[int, int], np.ndarray]]
    rare: list[tuple[str, int]]


def _effects(
    columns: Mapping[str, pd.Series], scores: pd.Series, notes: tuple[str, ...]
) -> tuple[tuple[Effect, ...], tuple[str, ...]]:
    terms = {name: _scale_terms(of) if of.dtype == float else _name_terms(of) for name, of in columns.items()}
    design = np.column_stack([np.ones(len(scores)), *(one.columns for one in terms.values())])
    inverse = np.linalg.pinv(design.T @ design, rcond=1e-10, hermitian=True)
    rank = int(np.linalg.matrix_rank(design))
    freedom, y = len(scores) - rank, scores.to_numpy(float)
    if freedom < MIN_FREEDOM:
        needed = f"{rank + MIN_FREEDOM} are needed for these parameters"
        why = f"effects: {TOO_FEW} ({len(scores)} finished, {needed})"
        return (), (*notes, why)
    weights = inverse @ design.T @ y
    left = y - design @ weights
    error, quantile = np.sqrt(left @ left / freedom), float(stdtrit(freedom, 0.975))
    estimable = inverse @ (design.T @ design)  # a projection: contrasts that it changes are not in the data
    effects, mixed, at = [], [], 1
    for name, one in terms.items():
        for value, other, counts, change in one.contrasts:
            contrast = np.zeros(design.shape[1])
            contrast[at : at + len(change)] = change
            if not np.allclose(estimable @ contrast, contrast, atol=1e-6):
                mixed.append(f"{name} {value}")
                continue
            margin = float(quantile * error * np.sqrt(contrast @ inverse @ contrast))
            effects.append(Effect(name, value, other, float(contrast @ weights), margin, counts))
        at += one.columns.shape[1]
    if mixed:
        notes = (*notes, f"{', '.join(mixed)}: never tried apart from other parameters")
    if rare := [f"{name} {value} ({n})" for name, one in terms.items() for value, n in one.rare]:
        notes = (*notes, f"effects of {few(rare)}: {TOO_FEW} ({MIN_EACH} with the value are needed)")
    return tuple(sorted(effects, key=lambda one: -abs(one.effect))), notes


def _name_terms(column: pd.Series) -> _Terms:
    """A dummy for each value but the most frequent one, which the others are compared with. They are centred,
    so that the effect of the choice above a nested parameter is that of its usual mixture of values."""
    counts = column.value_counts()
    counts = counts.loc[sorted(counts.index, key=lambda name: (-counts[name], name))]
    usual, *others = counts.index
    active = column.notna().to_numpy()
    dummies = np.array([(column == name).to_numpy(float) for name in others]).T
    dummies[active] -= dummies[active].mean(0)
    contrasts = [
        (name, usual, (int(counts[name]), int(counts[usual])), np.eye(len(others))[i])
        for i, name in enumerate(others)
        if counts[name] >= MIN_EACH
    ]
    return _Terms(dummies, contrasts, [(n, int(counts[n])) for n in others if counts[n] < MIN_EACH])


def _scale_terms(column: pd.Series) -> _Terms:
    """Linear and squared, centred where the parameter is active; its quartiles are compared."""
    low, high = float(column.min()), float(column.max())
    moved = np.log(column) if is_log(low, high) else column
    place, spread = moved.mean(), moved.std()

    def terms(of: Any) -> np.ndarray:
        linear = (of - place) / spread
        return np.array([linear, linear**2])

    active = column.notna().to_numpy()
    both = np.where(active, terms(moved.to_numpy()), 0).T
    centre = both[active].mean(0)
    both[active] -= centre
    quarter, most = np.quantile(moved.dropna(), (0.25, 0.75))
    shown = [f"{np.exp(one) if is_log(low, high) else one:.2g}" for one in (quarter, most)]
    contrasts = [(shown[1], shown[0], (0, 0), terms(most) - terms(quarter))] if shown[0] != shown[1] else []
    return _Terms(both, contrasts, [])
