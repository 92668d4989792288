"""Helpers for tests of augmentation: a photo, a policy applied to it, and measures of the result."""

import numpy as np
import torch
from scipy.stats import ks_2samp

from trial.augment.pipeline import batch_transform
from trial.augment.policies import parse_policy
from trial.preprocessing import Preprocessing
from trial.rng import Draw

SIZE = (64, 48)
PHOTO = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
MANY, BATCH = 600, 8
AS_IT_IS = Preprocessing(SIZE, (0.0,) * 3, (1.0,) * 3, "bicubic")


def policy(value):
    errors: list[str] = []
    parsed = parse_policy(value, errors)
    assert not errors
    return parsed


def in_batches(steps, photo=PHOTO, count=MANY, seed=0, epoch=1):
    """float (count, 3, height, width) from 0 to 1: the photo augmented `count` times, in batches of 8."""
    prepare = batch_transform(policy(steps), AS_IT_IS)
    random, made = np.random.default_rng(seed), []
    for rows in np.array_split(np.arange(count), -(-count // BATCH)):
        draw = Draw(random, rows, epoch, photo.shape[:2])
        made.append(prepare(torch.from_numpy(photo).expand(len(rows), *photo.shape), draw))
    return torch.cat(made)


def spot():
    """A dark photo with a bright rectangle left of and above its centre."""
    photo = np.full((*SIZE, 3), 20, np.uint8)
    photo[20:34, 12:24] = (250, 180, 120)
    return photo


def facts(images):
    """Position, size and lean of the bright part: (count,) each."""
    weight = (images.mean(1) - 0.1).clamp(0)
    y, x = torch.meshgrid(torch.arange(SIZE[0]) + 0.5, torch.arange(SIZE[1]) + 0.5, indexing="ij")
    total = weight.sum((1, 2))
    middle_y, middle_x = ((weight * axis).sum((1, 2)) / total for axis in (y, x))
    lean = (weight * (y - middle_y[:, None, None]) * (x - middle_x[:, None, None])).sum((1, 2)) / total
    return {"size": total, "middle_y": middle_y, "middle_x": middle_x, "lean": lean}


def assert_alike(ours, theirs):
    """All facts have the same distribution, by a test that does see other parameters (last test of
    test_same_distribution.py)."""
    for name, values in facts(ours).items():
        other = facts(theirs)[name]
        found = ks_2samp(values.numpy(), other.numpy())
        assert found.pvalue > 0.001, (
            f"{name}: {values.mean():.3f} +- {values.std():.3f} against {other.mean():.3f}"
        )
