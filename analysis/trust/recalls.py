"""The interval of each class's recall, over groups."""

import numpy as np
from scipy.special import stdtrit

from analysis.trust.bootstrap import LEVEL


def recall_intervals(truth: np.ndarray, hits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(Low, high) limits (classes,) of each class's recall, from the photos and the hits (groups, classes) of
    each group; nan for a class without photos.

    Wilson's interval with as many independent photos as the spread between groups allows: at least one per
    group, at most all; with Student's t for the groups that have the class. It holds for recalls of 0 and 1,
    which no resample moves, and takes no resampling.
    """
    photos, groups = truth.sum(0), (truth > 0).sum(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        recall = hits.sum(0) / photos
        left = ((hits - recall * truth) ** 2).sum(0) / photos**2 * groups / (groups - 1)
        independent = np.where(left > 0, recall * (1 - recall) / left, groups)
        n = np.clip(independent, groups, photos)
        t = np.where(groups > 1, stdtrit(np.maximum(groups - 1, 1), (1 + LEVEL) / 2), np.inf)
        middle = (recall + t**2 / (2 * n)) / (1 + t**2 / n)
        wide = t / (1 + t**2 / n) * np.sqrt(recall * (1 - recall) / n + t**2 / (4 * n**2))
    low, high = np.where(groups > 1, middle - wide, 0.0), np.where(groups > 1, middle + wide, 1.0)
    known = photos > 0
    return np.where(known, low.clip(0, 1), np.nan), np.where(known, high.clip(0, 1), np.nan)
