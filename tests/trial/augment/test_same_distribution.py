"""Whole-batch steps against their one-by-one models, albumentations' and torchvision's: the same distribution."""

import albumentations
import cv2
import numpy as np
import pytest
import torch
from torchvision.transforms import v2

from tests.trial.augment.augmenting import MANY, PHOTO, SIZE, assert_alike, in_batches, policy, spot
from trial.augment.pipeline import photo_transform
from trial.rng import Draw


def one_by_one(transform, photo, count=MANY):
    torch.manual_seed(1)
    tensor = torch.from_numpy(photo).permute(2, 0, 1).float() / 255
    return torch.stack([transform(tensor) for _ in range(count)])


def by_albumentations(transform, photo, count=MANY):
    compose = albumentations.Compose([transform], seed=1)
    made = np.stack([compose(image=photo)["image"] for _ in range(count)])
    return torch.from_numpy(made).permute(0, 3, 1, 2) / 255


@pytest.mark.parametrize(
    ("steps", "model"),
    [
        (
            [{"_name": "shift_scale", "shift": 0.1, "scale": 0.2}],
            lambda: albumentations.Affine(
                translate_percent=(-0.1, 0.1), scale=(0.8, 1.2), border_mode=cv2.BORDER_REPLICATE, p=1
            ),
        ),
        ([{"_name": "flip", "p": 0.3}], lambda: albumentations.HorizontalFlip(p=0.3)),
        (
            [{"_name": "brightness_contrast", "brightness": 0.1, "contrast": 0.3, "p": 0.7}],
            lambda: albumentations.RandomBrightnessContrast(0.1, 0.3, p=0.7),
        ),
    ],
)  # fmt: skip
def test_as_albumentations(steps, model):
    photo = spot()
    assert_alike(in_batches(steps, photo), by_albumentations(model(), photo))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("steps", "model"),
    [
        (
            [{"_name": "affine", "degrees": 20, "shift": 0.1, "scale": 0.2, "shear": 10}],
            v2.RandomAffine(20, (0.1, 0.1), (0.8, 1.2), 10, v2.InterpolationMode.BILINEAR, fill=20 / 255),
        ),
        ([{"_name": "perspective", "distortion": 0.4}], v2.RandomPerspective(0.4, 0.5, fill=20 / 255)),
        (
            [{"_name": "crop", "least": 0.6, "stretch": 1}],
            v2.RandomResizedCrop(SIZE, (0.6, 1), (48 / 64, 48 / 64), antialias=False),
        ),
        (
            [{"_name": "color_jitter", "brightness": 0.3, "contrast": 0.3, "saturation": 0.3, "hue": 0.1}],
            v2.ColorJitter(0.3, 0.3, 0.3, 0.1),
        ),
        ([{"_name": "noise", "std": 0.1, "p": 1}], v2.GaussianNoise(0, 0.1)),
        (
            [{"_name": "random_erasing", "min_area": 0.05, "max_area": 0.2, "value": 1, "p": 0.6}],
            v2.RandomErasing(0.6, (0.05, 0.2), (1 / 3.3, 3.3), value=1),
        ),
    ],
    ids=lambda value: value[0]["_name"] if isinstance(value, list) else "",
)
def test_as_torchvision(steps, model):
    photo = spot()
    assert_alike(in_batches(steps, photo), one_by_one(model, photo))


def test_one_number_of_a_jitter_is_torchvisions_to_the_digit():
    photo = torch.from_numpy(PHOTO).permute(2, 0, 1)[None] / 255
    for name, by in (("brightness", 0.3), ("contrast", 0.3), ("saturation", 0.3), ("hue", 0.2)):
        numbers = dict.fromkeys(("brightness", "contrast", "saturation", "hue"), 0.0) | {name: by}
        ours = in_batches([{"_name": "color_jitter", **numbers}], count=1, seed=3)
        draw = Draw(np.random.default_rng(3), np.arange(1), 1, SIZE)
        draw.happens(1.0)
        draw.random.permutation(1)
        drawn = float(draw.around(0 if name == "hue" else 1, by)[0])
        theirs = getattr(v2.functional, f"adjust_{name}")(photo, drawn)
        assert torch.allclose(ours, theirs, atol=2e-3), name


def test_the_comparison_sees_another_strength():
    photo = spot()
    weak, strong = (
        in_batches([{"_name": "shift_scale", "shift": s}], photo, seed=n) for n, s in enumerate((0.05, 0.1))
    )
    with pytest.raises(AssertionError):
        assert_alike(weak, strong)


@pytest.mark.slow
@pytest.mark.parametrize("steps", ["light", [{"_name": "perspective"}, {"_name": "noise", "std": 0.02}]])
def test_photo_by_photo_is_the_same_distribution(steps):
    parsed = policy(steps)
    on_photo = policy([{**step.choice.to_json(), "on": "photo"} for step in parsed.steps])
    augmented, photo = photo_transform(on_photo, SIZE), spot()
    alone = np.stack([augmented(photo, row, 1, 0) for row in range(MANY)])
    assert_alike(in_batches(steps, photo), torch.from_numpy(alone).permute(0, 3, 1, 2) / 255)
