"""Whole-batch steps against their one-by-one models, albumentations' and torchvision's: the same distribution."""

import albumentations
import cv2
import numpy as np
import pytest
import torch
from scipy.stats import ks_2samp
from torchvision.transforms import v2

from dataset.errors import CallersMistake
from trial import augment
from trial.augment import on_batches, on_photos
from trial.draw import Draw
from trial.policies import parse_policy
from trial.transforms import Preprocessing
from trial.warping import floats, joined

SIZE = (64, 48)
PHOTO = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
MANY, BATCH = 600, 8
AS_IT_IS = Preprocessing(SIZE, (0.0,) * 3, (1.0,) * 3, "bicubic")


def policy(value):
    faults: list[str] = []
    parsed = parse_policy(value, faults)
    assert not faults
    return parsed


def in_batches(steps, photo=PHOTO, count=MANY, seed=0, epoch=1):
    """float (count, 3, height, width) from 0 to 1: the photo augmented `count` times, in batches of 8."""
    prepare = on_batches(policy(steps), AS_IT_IS)
    random, made = np.random.default_rng(seed), []
    for rows in np.array_split(np.arange(count), -(-count // BATCH)):
        draw = Draw(random, rows, epoch, photo.shape[:2])
        made.append(prepare(torch.from_numpy(photo).expand(len(rows), *photo.shape), draw))
    return torch.cat(made)


def spot():
    """A bright square left of and above the middle of a dark photo."""
    photo = np.full((*SIZE, 3), 20, np.uint8)
    photo[20:34, 12:24] = (250, 180, 120)
    return photo


def facts(images):
    """Where the bright part lies, how large it is and how it leans: (count,) each."""
    weight = (images.mean(1) - 0.1).clamp(0)
    y, x = torch.meshgrid(torch.arange(SIZE[0]) + 0.5, torch.arange(SIZE[1]) + 0.5, indexing="ij")
    total = weight.sum((1, 2))
    middle_y, middle_x = ((weight * axis).sum((1, 2)) / total for axis in (y, x))
    lean = (weight * (y - middle_y[:, None, None]) * (x - middle_x[:, None, None])).sum((1, 2)) / total
    return {"size": total, "middle_y": middle_y, "middle_x": middle_x, "lean": lean}


def one_by_one(transform, photo, count=MANY):
    torch.manual_seed(1)
    tensor = torch.from_numpy(photo).permute(2, 0, 1).float() / 255
    return torch.stack([transform(tensor) for _ in range(count)])


def by_albumentations(transform, photo, count=MANY):
    compose = albumentations.Compose([transform], seed=1)
    made = np.stack([compose(image=photo)["image"] for _ in range(count)])
    return torch.from_numpy(made).permute(0, 3, 1, 2) / 255


def assert_alike(ours, theirs):
    """No fact's distribution can be told apart; the same test does see other numbers (last test)."""
    for name, values in facts(ours).items():
        other = facts(theirs)[name]
        found = ks_2samp(values.numpy(), other.numpy())
        assert found.pvalue > 0.001, (
            f"{name}: {values.mean():.3f} +- {values.std():.3f} against {other.mean():.3f}"
        )


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
            [{"_name": "jitter", "brightness": 0.3, "contrast": 0.3, "saturation": 0.3, "hue": 0.1}],
            v2.ColorJitter(0.3, 0.3, 0.3, 0.1),
        ),
        ([{"_name": "noise", "std": 0.1, "p": 1}], v2.GaussianNoise(0, 0.1)),
        (
            [{"_name": "erasing", "least": 0.05, "most": 0.2, "value": 1, "p": 0.6}],
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
        ours = in_batches([{"_name": "jitter", **numbers}], count=1, seed=3)
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


def test_alternating_flip_shows_each_photo_each_way_in_two_epochs():
    mirrored = torch.from_numpy(PHOTO[:, ::-1].copy()).permute(2, 0, 1) / 255
    ways = []
    for epoch in (1, 2, 3):
        images = in_batches(["alternating_flip"], count=200, epoch=epoch)
        ways.append(np.array([torch.allclose(image, mirrored) for image in images]))
    assert (ways[0] != ways[1]).all()
    assert (ways[0] == ways[2]).all()
    assert 70 < ways[0].sum() < 130


def test_neighbouring_warps_are_one_look_at_the_photo():
    """Flipped twice or scaled up and down again, a photo is what it was: nothing was interpolated in between."""
    twice = in_batches([{"_name": "flip", "p": 1}, {"_name": "shift_scale", "shift": 0, "scale": 0},
                        {"_name": "flip", "p": 1}], count=4)  # fmt: skip
    assert torch.allclose(twice, torch.from_numpy(PHOTO).permute(2, 0, 1) / 255, atol=1e-4)


def test_the_same_seed_gives_the_same_photos_and_another_others():
    assert torch.equal(in_batches("light", count=8), in_batches("light", count=8))
    assert not torch.equal(in_batches("light", count=8), in_batches("light", count=8, seed=1))


@pytest.mark.parametrize("steps", ["light", [{"_name": "perspective"}, {"_name": "noise", "std": 0.02}]])
def test_photo_by_photo_is_the_same_distribution(steps):
    parsed = policy(steps)
    on_photo = policy([{**step.choice.to_json(), "on": "photo"} for step in parsed.steps])
    augmented, photo = on_photos(on_photo, SIZE), spot()
    alone = np.stack([augmented(photo, row, 1, 0) for row in range(MANY)])
    assert_alike(in_batches(steps, photo), torch.from_numpy(alone).permute(0, 3, 1, 2) / 255)


def test_without_steps_on_photos_there_is_nothing_to_do_on_them():
    assert on_photos(policy("light"), SIZE) is None


def test_albumentations_steps_are_used_by_name_with_their_numbers_in_order():
    augmented = on_photos(
        policy([{"_name": "HorizontalFlip", "p": 1}, {"_name": "InvertImg", "p": 1.0}]), SIZE
    )
    assert np.array_equal(augmented(PHOTO, 0, 1, 0), 255 - PHOTO[:, ::-1])


def test_ours_before_albumentations_keeps_the_order():
    mixed = policy([{"_name": "flip", "p": 1}, {"_name": "InvertImg", "p": 1.0}, {"_name": "noise", "p": 0}])
    assert [step.on for step in mixed.steps] == ["photo", "photo", "batch"]
    assert np.array_equal(on_photos(mixed, SIZE)(PHOTO, 0, 1, 0), 255 - PHOTO[:, ::-1])


def test_a_photo_is_augmented_alike_whoever_asks_and_otherwise_each_epoch():
    augmented = on_photos(policy([{"_name": "RandomBrightnessContrast", "p": 1}]), SIZE)
    first, again, next_epoch = augmented(PHOTO, 3, 1, 0), augmented(PHOTO, 3, 1, 0), augmented(PHOTO, 3, 2, 0)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, next_epoch)


def test_a_step_that_changes_the_size_is_refused():
    with pytest.raises(CallersMistake, match="makes uint8"):
        on_photos(policy([{"_name": "RandomCrop", "height": 8, "width": 8}]), SIZE)


def test_a_large_batch_goes_through_in_pieces_that_are_all_different(monkeypatch):
    monkeypatch.setattr(augment, "CACHED", 3 * PHOTO.size)
    draw = Draw(np.random.default_rng(0), np.arange(7), 1, SIZE)
    done = on_batches(policy("light"), AS_IT_IS)(torch.from_numpy(PHOTO).expand(7, *PHOTO.shape), draw)
    assert done.is_contiguous(memory_format=torch.channels_last)
    assert len({round(float(image.sum()), 3) for image in done}) == 7


@pytest.mark.parametrize("steps", [["flip", "shift_scale"], ["affine", "crop"], ["perspective"], ["flip"]])
def test_whole_numbers_on_the_cpu_and_floats_elsewhere_are_the_same_photos(steps):
    photo = np.ascontiguousarray(
        np.tile(np.linspace(0, 255, SIZE[0], dtype=np.uint8)[:, None, None], (1, SIZE[1], 3))
    )
    photo[20:40, 10:30, 1] = 90
    photos = torch.from_numpy(np.stack([photo] * 8))
    warp = joined([step.choice for step in policy(steps).steps])
    whole, exact = (
        warp(p, Draw(np.random.default_rng(0), np.arange(8), 1, SIZE)) for p in (photos, floats(photos))
    )
    assert whole.dtype == torch.uint8
    difference = (floats(whole) - exact).abs() * 255
    assert difference.mean() < 0.5
    assert difference.quantile(0.99) < 3
