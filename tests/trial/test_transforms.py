import numpy as np
import pytest
import torch

from dataset.errors import CallersMistake
from trial.transforms import Preprocessing, parse_policy

PHOTO = np.random.default_rng(0).integers(0, 256, (64, 48, 3), dtype=np.uint8)


def policy(value):
    faults: list[str] = []
    parsed = parse_policy(value, faults)
    assert not faults
    return parsed.build(PHOTO.shape[:2])


def test_none_has_nothing_to_do():
    assert policy("none") is None


@pytest.mark.parametrize(("name", "share"), [("seed", 0.3), ("light", 0.5)])
def test_flips_come_as_often_as_the_policy_says(name, share):
    steps = parse_policy(name, []).to_json()["steps"][:1]
    augment = policy(steps)
    flipped = [np.array_equal(augment(PHOTO, seed), PHOTO[:, ::-1]) for seed in range(600)]
    assert np.mean(flipped) == pytest.approx(share, abs=0.06)


def test_the_same_seed_gives_the_same_photo_and_another_another():
    augment = policy("light")
    first, again, other = augment(PHOTO, 1), augment(PHOTO, 1), augment(PHOTO, 2)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_shift_scale_moves_at_most_by_its_numbers():
    photo = np.zeros((100, 100, 3), np.uint8)
    photo[40:60, 40:60] = 255
    augment = policy([{"_name": "shift_scale", "shift": 0.1, "scale": 0.0}])
    centres = []
    for seed in range(200):
        rows, columns = np.nonzero(augment(photo, seed)[..., 0] > 127)
        centres.append((rows.mean() - 49.5, columns.mean() - 49.5))
    assert np.abs(centres).max() <= 10.6
    assert np.abs(centres).max(axis=0).min() > 8


def test_brightness_changes_within_its_share():
    grey = np.full((8, 8, 3), 100, np.uint8)
    augment = policy([{"_name": "brightness_contrast", "brightness": 0.2, "contrast": 0.0}])
    means = [augment(grey, seed).mean() for seed in range(300)]
    assert 100 - 0.2 * 255 - 1 <= min(means) < 60
    assert 140 < max(means) <= 100 + 0.2 * 255 + 1


def test_albumentations_steps_are_used_by_name_with_their_numbers_in_order():
    augment = policy([{"_name": "HorizontalFlip", "p": 1}, {"_name": "InvertImg", "p": 1.0}])
    assert np.array_equal(augment(PHOTO, 0), 255 - PHOTO[:, ::-1])


def test_a_step_that_changes_the_size_is_refused():
    with pytest.raises(CallersMistake, match="makes uint8"):
        policy([{"_name": "RandomCrop", "height": 8, "width": 8}])


def test_normalising_takes_mean_and_std_of_each_channel():
    preprocessing = Preprocessing((64, 48), (0.5, 0.4, 0.3), (0.2, 0.25, 0.5), "bicubic")
    batch = torch.from_numpy(PHOTO)[None]
    normal = preprocessing.normalise(batch)
    expected = (batch[0] / 255 - torch.tensor([0.5, 0.4, 0.3])) / torch.tensor([0.2, 0.25, 0.5])
    assert torch.allclose(normal[0].permute(1, 2, 0), expected, atol=1e-5)
    assert normal.is_contiguous(memory_format=torch.channels_last)
    assert Preprocessing.from_json(preprocessing.to_json()) == preprocessing
