"""Votes by name: the probabilities of several networks become one. WAYS also names those that are fitted."""

from collections.abc import Callable, Sequence

import numpy as np

Members = Sequence[np.ndarray] | np.ndarray  # probabilities of each, (photos, classes)
Vote = Callable[[Members], np.ndarray]


def soft(probabilities: Members) -> np.ndarray:
    """Soft vote: the mean of the members' probabilities, each (photos, classes)."""
    return np.mean(probabilities, axis=0)


def hard(probabilities: Members) -> np.ndarray:
    """Hard vote: one vote per member for its most probable class; (photos, classes), rows sum to 1.

    Half of the mean probability is added, which decides only between classes with equally many votes.
    """
    votes = sum(np.eye(member.shape[1])[member.argmax(1)] for member in probabilities)
    return (votes + soft(probabilities) / 2) / (len(probabilities) + 0.5)


VOTES: dict[str, Vote] = {"soft": soft, "hard": hard}
FITTED = ("greedy", "stacking")  # to validation answers, by combining.py
WAYS = (*VOTES, *FITTED)  # the simplest first
AUTO = "auto"  # the simplest of them that is not significantly different from the best
