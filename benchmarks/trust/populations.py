"""Populations of people whose answers are known, so that true scores are: recorded ones and drawn ones.

Both have seven photos a person, as the competition's: five with a mask, one with it worn wrongly, one
without. The classes are mask x gender x age band, 60 and over in 6 % of people.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from analysis.trust.answers import Counts, count
from analysis.trust.bootstrap import observed
from benchmarks.search import table
from trial.probabilities import MIN_PROBABILITY

CLASSES, PHOTOS, KINDS = 18, 7, 6
MASKS = np.array([0] * 5 + [1, 2])
SHARES = (
    np.array([57, 54, 6, 87, 84, 12]) / 300
)  # of the kinds of people (gender x age) in the recorded table
SURE, RARE = 2.5, 0.3  # of drawn losses: how confident, and how much is known of the rare age band
MANY = 50_000  # people stand for all
EVEN, RANDOM = (
    "even",
    "random",
)  # kinds of people as often as among all, as our split deals them, or by chance


@dataclass(frozen=True, eq=False)
class Population:
    """`draw(rng, kinds)`: predicted classes (people, photos, recipes), or in `drawn_losses` the logarithm of
    what the true class is given, and labels (people, photos) of a person of each of these kinds; `true`: the
    counts of all people."""

    name: str
    draw: Callable[[np.random.Generator, np.ndarray], tuple[np.ndarray, np.ndarray]]
    true: Counts

    def sample(self, rng: np.random.Generator, people: int, dealt: str) -> tuple[np.ndarray, np.ndarray]:
        """(labels (photos,), what is drawn (photos, recipes)) of `people` people, one after the other."""
        kinds = even(people) if dealt == EVEN else rng.choice(KINDS, people, p=SHARES)
        predicted, labels = self.draw(rng, kinds)
        return labels.ravel(), predicted.reshape(labels.size, -1)

    def score(self, metric: str) -> np.ndarray:
        """(recipes,) the true scores."""
        return observed(self.true, metric)


def persons(labels: np.ndarray) -> np.ndarray:
    """The number of each photo's person."""
    return np.arange(len(labels)) // PHOTOS


def even(people: int) -> np.ndarray:
    wanted = SHARES * people
    number = np.floor(wanted).astype(int)
    number[np.argsort(number - wanted)[: people - number.sum()]] += 1
    return np.arange(KINDS).repeat(number)


def drawn(strength: float, recipes: int = 2, spread: float = 0.0) -> Population:
    """Recipes that tell gender, age and mask the better the larger `strength` is, some more and some less by
    `spread`. A person's difficulty is the same for all recipes and photos; each recipe finds some people
    easier than others; photos differ."""
    by_recipe = strength + spread * np.linspace(-1, 1, recipes)

    def draw(rng: np.random.Generator, kinds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return drawn_answers(rng, kinds, by_recipe)

    truth = draw(np.random.default_rng(1), even(MANY))
    labels = truth[1].ravel()
    true = count(labels, truth[0].reshape(labels.size, -1), persons(labels), CLASSES)
    return Population(f"drawn, {true_words(true)}", draw, true)


def drawn_answers(
    rng: np.random.Generator, kinds: np.ndarray, strength: np.ndarray, epochs: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """(Predicted classes (people, photos, recipes * epochs), labels (people, photos)); `strength` (recipes *
    epochs,). The epochs of a recipe share most of its taste, the rest is new in each."""
    people, answers = len(kinds), len(strength)

    def margin() -> np.ndarray:
        return _margin(rng, people, answers, epochs)

    gender, age = (part[:, None, None] for part in np.divmod(kinds, 3))
    mask = np.broadcast_to(MASKS[None, :, None], (people, PHOTOS, answers))
    given_gender = np.where(margin() + strength > 0, gender, 1 - gender)
    seen_age = age + 0.8 * margin() / strength
    given_age = (seen_age > 0.5).astype(int) + (seen_age > 1.6)  # the rare band is predicted too rarely
    other = (mask + 1 + rng.integers(2, size=mask.shape)) % 3
    given_mask = np.where(margin() + 1.3 * strength > 0, mask, other)
    labels = MASKS[None] * KINDS + kinds[:, None]
    return given_mask * KINDS + given_gender * 3 + given_age, labels


def _margin(rng: np.random.Generator, people: int, answers: int, epochs: int = 1) -> np.ndarray:
    """(people, photos, answers) by how much a factor is told rightly, without what all have in common."""
    shape = (people, 1, answers // epochs, 1), (people, PHOTOS, answers // epochs, 1)
    person = 0.6 * rng.normal(size=(people, 1, 1, 1)) + 0.5 * rng.normal(size=shape[0])
    if epochs == 1:
        return (person + 0.6 * rng.normal(size=shape[1])).reshape(people, PHOTOS, answers)
    # As much in all as with one epoch.
    of_epoch = 0.3 * rng.normal(size=(people, 1, answers // epochs, epochs)) - 0.1 * person
    each = (people, PHOTOS, answers // epochs, epochs)
    photo = 0.5 * rng.normal(size=shape[1]) + 0.33 * rng.normal(size=each)
    return (person + of_epoch + photo).reshape(people, PHOTOS, answers)


def drawn_losses(strength: float, recipes: int = 2) -> Population:
    """As `drawn`, for the log loss: recipes that are overconfident by SURE, and the more wrong about the rare
    age band."""

    def draw(rng: np.random.Generator, kinds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        of_age = strength * np.where(kinds % 3 == 2, RARE, 1)[:, None, None]
        log = np.zeros((len(kinds), PHOTOS, recipes))
        for own in (strength, of_age, 1.3 * strength):  # gender, age, mask
            log -= np.logaddexp(0, -SURE * (_margin(rng, len(kinds), recipes) + own))
        return log.clip(np.log(MIN_PROBABILITY)), MASKS[None] * KINDS + kinds[:, None]

    log, labels = draw(np.random.default_rng(1), even(MANY))
    true = counts_of_losses(labels.ravel(), log.reshape(labels.size, -1), persons(labels.ravel()))
    return Population(f"drawn, log loss {-observed(true, 'log_loss')[0]:.2f}", draw, true)


def counts_of_losses(labels: np.ndarray, log: np.ndarray, groups: np.ndarray) -> Counts:
    """The counts of log probabilities (photos, recipes), without predicted classes."""
    return count(labels, np.zeros(log.shape, int), groups, CLASSES, log)


def recorded(path: Path, recipes: tuple[int, ...] | None = None, epoch: int = -1) -> Population:
    """Recipes of the recorded table after an epoch (default: the best, the third best and the one in the
    middle). Its validation people and its others together, none of whom was trained on, are all there are."""
    answers, labels = everyone(table.read(path))
    if recipes is None:
        scored = observed(
            count(
                labels.ravel(), answers[..., epoch].reshape(labels.size, -1), persons(labels.ravel()), CLASSES
            ),
            "macro_f1",
        )
        order = np.argsort(-scored)
        recipes = (int(order[0]), int(order[2]), int(order[len(order) // 2]))
    answers = answers[:, :, recipes, epoch]
    of_kind = [np.flatnonzero(labels[:, 0] % KINDS == kind) for kind in range(KINDS)]

    def draw(rng: np.random.Generator, kinds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        picked = np.array([rng.choice(of_kind[kind]) for kind in kinds])
        return answers[picked], labels[picked]

    true = count(labels.ravel(), answers.reshape(labels.size, -1), persons(labels.ravel()), CLASSES)
    return Population(f"recorded, {true_words(true)}", draw, true)


def everyone(recorded: table.Table) -> tuple[np.ndarray, np.ndarray]:
    """(Predicted classes (people, photos, recipes, epochs), labels (people, photos)) of the people of both
    sides of a table; runs of its first seed that did not fail."""
    runs = [run for run in recorded.runs if run.seed == recorded.seeds[0] and not run.failed]
    sides, of_sides = [], []
    for side in table.SIDES:
        order = np.argsort(recorded.groups[side], kind="stable")
        of_sides.append(recorded.labels[side][order].reshape(-1, PHOTOS))
        given = np.stack([run.answers[side][:, order] for run in runs], 1)  # (epochs, recipes, photos)
        sides.append(np.moveaxis(given.reshape(*given.shape[:2], -1, PHOTOS), (0, 1), (3, 2)))
    return np.concatenate(sides).astype(int), np.concatenate(of_sides).astype(int)


def true_words(true: Counts) -> str:
    return f"macro-F1 {observed(true, 'macro_f1')[0]:.2f}"
