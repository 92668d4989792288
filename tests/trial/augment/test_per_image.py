import numpy as np
import pytest

from tests.trial.augment.augmenting import PHOTO, SIZE, policy
from trial.augment.per_image import PER_IMAGE
from trial.augment.pipeline import photo_transform

# Those that the baseline offered, at parameters whose change can be seen.
OF_THE_BASELINE = (
    "CoarseDropout", "RandomBrightnessContrast", "GridDistortion", "OpticalDistortion", "ChannelShuffle",
    "GaussNoise", "GaussianBlur", "GlassBlur", "MedianBlur", "MotionBlur", "RGBShift",
)  # fmt: skip


@pytest.mark.parametrize("name", [*PER_IMAGE, *OF_THE_BASELINE])
def test_it_changes_a_photo_the_same_way_for_the_same_arguments(name):
    augment = photo_transform(policy([{"_name": name, "p": 1.0}]), SIZE)
    made = [augment(PHOTO, row, 1, 0) for row in range(12)]
    assert all(photo.shape == PHOTO.shape and photo.dtype == np.uint8 for photo in made)
    assert sum(not np.array_equal(photo, PHOTO) for photo in made) >= 8  # some of theirs change nothing
    assert all(np.array_equal(photo, augment(PHOTO, row, 1, 0)) for row, photo in enumerate(made))
    assert len({photo.tobytes() for photo in made}) > 2  # a median has three sizes


@pytest.mark.parametrize("name", [*PER_IMAGE, *OF_THE_BASELINE])
def test_it_leaves_a_photo_alone_at_probability_0(name):
    augment = photo_transform(policy([{"_name": name, "p": 0.0}]), SIZE)
    assert all(np.array_equal(augment(PHOTO, row, 1, 0), PHOTO) for row in range(8))


def test_a_larger_magnitude_changes_more():
    def change(magnitude):
        augment = photo_transform(policy([{"_name": "rand_augment", "magnitude": magnitude}]), SIZE)
        return np.mean([np.abs(augment(PHOTO, row, 1, 0) - PHOTO.astype(float)).mean() for row in range(60)])

    assert change(0) < change(9) < change(28)
