"""How the probabilities of several networks become one answer, by name."""

from collections.abc import Callable, Sequence

import numpy as np

Vote = Callable[[Sequence[np.ndarray]], np.ndarray]


def soft(probabilities: Sequence[np.ndarray]) -> np.ndarray:
    """The mean of the members' probabilities, each (photos, 18)."""
    return np.mean(probabilities, axis=0)


def hard(probabilities: Sequence[np.ndarray]) -> np.ndarray:
    """(photos, 18), rows that sum to 1: each member's likeliest class counts once, and half of the mean
    probability is added, which decides between classes of equally many votes and nothing else."""
    votes = sum(np.eye(member.shape[1])[member.argmax(1)] for member in probabilities)
    return (votes + soft(probabilities) / 2) / (len(probabilities) + 0.5)


VOTES: dict[str, Vote] = {"soft": soft, "hard": hard}
