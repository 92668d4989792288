"""Generated learning curves, so that a comparison does not rest on one recorded table.

Each table has a nested space, a score of its own for every recipe of it and one of three kinds of curves:

- crossing: one-cycle schedules; recipes that end high start low, so that curves cross half way.
- early_reliable: the order of the first epochs is that of the last.
- late_noisy: nothing can be told from the first half, and scores are noisy until the end.
"""

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
from nni.algorithms.hpo.random_tuner import RandomTuner
from scipy.special import ndtr

from benchmarks.search.table import Curves
from tuners.spaces.space import Space

EPOCHS, RECIPES = 8, 300

logging.getLogger("nni").setLevel(logging.WARNING)  # each tuner says its seed


def generate(kind: str, seed: int, recipes: int = RECIPES, epochs: int = EPOCHS) -> Curves:
    """Curves of random recipes, the same for the same kind and seed. KeyError for an unknown kind.

    The score of a recipe is a sum over its parameters, a few of which matter most, with a best value for each
    number, and an optimum that depends on an option for some of them. Of two parameters the time of an epoch
    depends. In one corner of the space all recipes fail within three epochs.
    """
    curve = KINDS[kind]
    rng = np.random.default_rng((list(KINDS).index(kind), seed))
    nni_space = _space(rng)
    space = Space(nni_space)
    tuner = RandomTuner(seed=seed)
    tuner.update_search_space(nni_space)
    points = tuple(tuner.generate_parameters(number) for number in range(recipes))
    positions = np.array([space.positions(space.params(point)) for point in points])
    final = _final(space, positions, rng)
    scores = curve(final, np.linspace(1 / epochs, 1, epochs), rng)
    scores += final[:, None] - scores.max(1, keepdims=True)  # a trial reports its best epoch
    others = scores + rng.normal(0, 0.01, scores.shape)
    for recipe in np.flatnonzero(_fails(space, positions, rng)):
        scores[recipe, rng.integers(0, 3) :] = np.nan
    seconds = np.repeat(_seconds(space, positions, rng)[:, None], epochs, 1)
    middle = int(np.argsort(final)[recipes // 2])  # a default that is neither good nor bad
    return Curves(f"{kind} {seed}", nni_space, points, scores, seconds, others, middle)


def _space(rng: np.random.Generator) -> dict[str, Any]:
    """Six choices, of which some options carry one or two parameters, and five parameters that are always
    there."""
    space: dict[str, Any] = {}
    for choice in range(6):
        options: list[dict[str, Any]] = [{"_name": f"option{n}"} for n in range(rng.integers(2, 5))]
        for option in options[1:]:
            for name in ("first", "second")[: rng.integers(0, 3)]:
                option[name] = {"_type": "uniform", "_value": [0.0, 1.0]}
        space[f"choice{choice}"] = {"_type": "choice", "_value": options}
    space["rate"] = {"_type": "loguniform", "_value": [0.0001, 0.1]}
    space["decay"] = {"_type": "loguniform", "_value": [0.00001, 0.1]}
    space["share"] = {"_type": "uniform", "_value": [0.0, 1.0]}
    space["batch"] = {"_type": "choice", "_value": [16, 32, 64, 128]}
    space["size"] = {"_type": "choice", "_value": [32, 48, 64]}
    return space


def _final(space: Space, positions: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(R,) the result of each recipe, between 0 and 1."""
    total = np.zeros(len(positions))
    weights = rng.permutation(0.8 ** np.arange(len(space.parameters)))
    options = [column for column, one in enumerate(space.parameters) if one.is_category and not one.condition]
    for column, (parameter, weight) in enumerate(zip(space.parameters, weights, strict=True)):
        at = positions[:, column]
        if parameter.name == "size":
            weight, effect = 0.6, 2 * at - 1
        elif parameter.is_category:
            effect = rng.normal(0, 1, len(parameter.options))[np.nan_to_num(at).astype(int)]
        else:
            best = rng.uniform(0.1, 0.9, 5)  # by the option of another parameter
            by = (
                np.zeros(len(at), int)
                if rng.random() < 0.5
                else positions[:, rng.choice(options)].astype(int)
            )
            effect = 1 - 8 * (at - best[by]) ** 2
        total += np.where(np.isnan(at), 0, weight * effect)
    standard = (total - total.mean()) / total.std()
    return 0.05 + 0.6 * ndtr(0.9 * standard) + rng.normal(0, 0.003, len(total))


def _fails(space: Space, positions: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(R,) the corner: the highest rates with one option of a choice."""
    names = [parameter.name for parameter in space.parameters]
    option = rng.integers(2)
    return (positions[:, names.index("rate")] > 0.8) & (positions[:, names.index("choice0")] == option)


def _seconds(space: Space, positions: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(R,) the seconds of an epoch: a factor by the option of a choice, and by the size."""
    names = [parameter.name for parameter in space.parameters]
    factors = np.exp(rng.normal(0, 0.5, 5))
    return (
        10
        * factors[positions[:, names.index("choice1")].astype(int)]
        * 4 ** positions[:, names.index("size")]
    )


def _crossing(final: np.ndarray, time: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    rank = final.argsort().argsort() / (len(final) - 1)
    late = (0.9 * rank + 0.1 * rng.random(len(final)))[:, None]
    rise = 1 - np.exp(-5 * time)
    scores = final[:, None] * rise * (1 - late * (1 - time) ** 0.8)
    return scores + rng.normal(0, 0.015, scores.shape) * (1 - time)


def _early_reliable(final: np.ndarray, time: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    speed = rng.uniform(4, 5, len(final))[:, None]
    scores = final[:, None] * (1 - np.exp(-speed * time))
    return scores + rng.normal(0, 0.01, scores.shape) * (1 - time)


def _late_noisy(final: np.ndarray, time: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    begins = rng.uniform(0.4, 0.8, len(final))[:, None]
    risen = 1 / (1 + np.exp(-(time - begins) / 0.06))
    scores = 0.05 + (final[:, None] - 0.05) * risen
    return scores + rng.normal(0, 0.02, scores.shape)


KINDS: dict[str, Callable[[np.ndarray, np.ndarray, np.random.Generator], np.ndarray]] = {
    "crossing": _crossing,
    "early_reliable": _early_reliable,
    "late_noisy": _late_noisy,
}


def rank_correlations(curves: Curves) -> np.ndarray:
    """(E,) Spearman correlation of each epoch's scores with the results, over recipes that do not fail."""
    from scipy.stats import spearmanr

    alive = np.isfinite(curves.final)
    return np.array([spearmanr(row, curves.final[alive]).statistic for row in curves.scores[alive].T])
