"""What a policy does to photos, one by one and in whole batches."""

import numpy as np
import pytest
import torch

from common.errors import UsageError
from tests.trial.augment.augmenting import AS_IT_IS, PHOTO, SIZE, in_batches, policy
from trial.augment import pipeline
from trial.augment.pipeline import batch_transform, photo_transform
from trial.augment.policies import STEPS
from trial.augment.warp import compose, to_float
from trial.rng import Draw


def test_alternating_flip_shows_each_photo_each_way_in_two_epochs():
    mirrored = torch.from_numpy(PHOTO[:, ::-1].copy()).permute(2, 0, 1) / 255
    ways = []
    for epoch in (1, 2, 3):
        images = in_batches(["alternating_flip"], count=200, epoch=epoch)
        ways.append(np.array([torch.allclose(image, mirrored) for image in images]))
    assert (ways[0] != ways[1]).all()
    assert (ways[0] == ways[2]).all()
    assert 70 < ways[0].sum() < 130


def test_consecutive_geometric_steps_interpolate_once():
    """Flipped twice or scaled up and down again, a photo is what it was: nothing was interpolated in between."""
    twice = in_batches([{"_name": "flip", "p": 1}, {"_name": "shift_scale", "shift": 0, "scale": 0},
                        {"_name": "flip", "p": 1}], count=4)  # fmt: skip
    assert torch.allclose(twice, torch.from_numpy(PHOTO).permute(2, 0, 1) / 255, atol=1e-4)


def test_the_same_seed_gives_the_same_photos_and_another_others():
    assert torch.equal(in_batches("light", count=8), in_batches("light", count=8))
    assert not torch.equal(in_batches("light", count=8), in_batches("light", count=8, seed=1))


def test_without_steps_on_photos_there_is_nothing_to_do_on_them():
    assert photo_transform(policy("light"), SIZE) is None


@pytest.mark.parametrize("name", STEPS)
def test_each_of_ours_also_runs_photo_by_photo(name):
    augmented = photo_transform(policy([{"_name": name, "on": "photo"}]), SIZE)
    shown = np.stack([augmented(PHOTO, row, epoch, 0) for row in range(8) for epoch in (1, 2)])
    assert shown.dtype == np.uint8 and shown.shape == (16, *PHOTO.shape)
    assert (shown != PHOTO).any()


def test_albumentations_steps_are_used_by_name_with_their_parameters_in_order():
    augmented = photo_transform(
        policy([{"_name": "HorizontalFlip", "p": 1}, {"_name": "InvertImg", "p": 1.0}]), SIZE
    )
    assert np.array_equal(augmented(PHOTO, 0, 1, 0), 255 - PHOTO[:, ::-1])


def test_ours_before_albumentations_keeps_the_order():
    mixed = policy([{"_name": "flip", "p": 1}, {"_name": "InvertImg", "p": 1.0}, {"_name": "noise", "p": 0}])
    assert [step.on for step in mixed.steps] == ["photo", "photo", "batch"]
    assert np.array_equal(photo_transform(mixed, SIZE)(PHOTO, 0, 1, 0), 255 - PHOTO[:, ::-1])


def test_a_photo_is_augmented_alike_whoever_asks_and_otherwise_each_epoch():
    augmented = photo_transform(policy([{"_name": "RandomBrightnessContrast", "p": 1}]), SIZE)
    first, again, next_epoch = augmented(PHOTO, 3, 1, 0), augmented(PHOTO, 3, 1, 0), augmented(PHOTO, 3, 2, 0)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, next_epoch)


def test_a_step_that_changes_the_size_is_refused():
    with pytest.raises(UsageError, match="makes uint8"):
        photo_transform(policy([{"_name": "RandomCrop", "height": 8, "width": 8}]), SIZE)


def test_a_parameter_that_a_step_cannot_use_is_refused():
    with pytest.raises(UsageError, match="augment=GaussianBlur: "):
        photo_transform(policy([{"_name": "GaussianBlur", "blur_limit": -3, "p": 1.0}]), SIZE)


def test_a_large_batch_goes_through_in_pieces_that_are_all_different(monkeypatch):
    monkeypatch.setattr(pipeline, "PIECE", 3 * PHOTO.size)
    draw = Draw(np.random.default_rng(0), np.arange(7), 1, SIZE)
    done = batch_transform(policy("light"), AS_IT_IS)(torch.from_numpy(PHOTO).expand(7, *PHOTO.shape), draw)
    assert done.is_contiguous(memory_format=torch.channels_last)
    assert len({round(float(image.sum()), 3) for image in done}) == 7


@pytest.mark.parametrize(
    "steps", [["flip", "shift_scale"], ["affine", "random_resized_crop"], ["perspective"], ["flip"]]
)
def test_uint8_on_the_cpu_and_floats_elsewhere_give_the_same_photos(steps):
    photo = np.ascontiguousarray(
        np.tile(np.linspace(0, 255, SIZE[0], dtype=np.uint8)[:, None, None], (1, SIZE[1], 3))
    )
    photo[20:40, 10:30, 1] = 90
    photos = torch.from_numpy(np.stack([photo] * 8))
    warp = compose([step.choice for step in policy(steps).steps])
    whole, exact = (
        warp(p, Draw(np.random.default_rng(0), np.arange(8), 1, SIZE)) for p in (photos, to_float(photos))
    )
    assert whole.dtype == torch.uint8
    difference = (to_float(whole) - exact).abs() * 255
    assert difference.mean() < 0.5
    assert difference.quantile(0.99) < 3
