"""Probabilities of classes, as arrays: their logarithms, at a temperature, and whether they are any."""

import numpy as np

# The smallest probability that the log loss counts, as scikit-learn's of float32: it stays finite.
MIN_PROBABILITY = float(np.finfo(np.float32).eps)
SUM_TOLERANCE = 1e-3  # probabilities are stored as float32; half precision rounds to about this


def log_of(probabilities: np.ndarray) -> np.ndarray:
    """Their logarithms, which are logits too: finite, as float64."""
    return np.log(np.clip(probabilities, MIN_PROBABILITY, 1, dtype=np.float64))


def log_given(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(photos,) the logarithm of what `probabilities` (photos, classes) give to each photo's class."""
    return log_of(probabilities[np.arange(len(labels)), labels])


def tempered(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """The probabilities (photos, classes) with their logits divided by `temperature`; at 1 as they are."""
    if temperature == 1:
        return probabilities
    from scipy.special import softmax  # trial.config imports this module, and needs to be quick

    return softmax(log_of(probabilities) / temperature, axis=1)


def not_probabilities(values: np.ndarray) -> np.ndarray:
    """(photos,) whether a photo's `values` (photos, classes) are not finite, not all 0 or more, or do not sum
    to 1."""
    not_finite, negative = ~np.isfinite(values).all(1), (values < 0).any(1)
    return not_finite | negative | (abs(values.sum(1) - 1) > SUM_TOLERANCE)
