"""Every two steps of a policy draw independently, wherever they run: on batches, on photos by this project, or
on photos by albumentations and torchvision."""

from itertools import combinations

import numpy as np
import pytest
import torch

from tests.trial.augment.augmenting import AS_IT_IS, policy
from trial.augment.photometric import GREY
from trial.augment.pipeline import batch_transform, photo_transform
from trial.rng import Draw, stream

SIZE = (32, 24)
PHOTOS = 300
MAX_CORRELATION = 4 / np.sqrt(PHOTOS)  # four standard deviations for independent values

# Grey, so that brightness has room both ways; blocks at two edges show a mirrored or upturned photo whatever
# its colours, and red above the other channels shows whether they were mixed.
PHOTO = np.full((*SIZE, 3), (120, 90, 90), np.uint8)
PHOTO[8:24, :6] += 40
PHOTO[:6, 8:16] += 40


def mirrored(image):
    return float(image[8:24, -6:].mean() > image[8:24, :6].mean())


def upturned(image):
    return float(image[-6:, 8:16].mean() > image[:6, 8:16].mean())


def brightness(image):
    """The change of the mean grey value, in absolute terms: ToGray and saturation keep it."""
    return abs((image @ GREY).mean() - (PHOTO @ GREY).mean() / 255)


def grain(image):
    return np.abs(np.diff(image[10:22, 8:16].mean(2), axis=0)).mean()


def redness(image):
    return abs((image[..., 0] - image[..., 1]).mean())


def changed(image):
    """Whether it is neither the photo nor a mirrored one: for steps whose change has no single direction."""
    return float((image * 255).round().astype(np.uint8).tobytes() not in WAYS)


WAYS = {PHOTO[::down, ::across].tobytes() for down in (1, -1) for across in (1, -1)}
# {step: a measure of it}; steps with the same measure can't be told apart.
STEPS = {
    "flip": mirrored,
    "HorizontalFlip": mirrored,
    "VerticalFlip": upturned,
    "brightness_contrast": brightness,
    "RandomBrightnessContrast": brightness,
    "noise": grain,
    "GaussNoise": grain,
    "color_jitter": redness,
    "ToGray": redness,
    "rand_augment": changed,
    "trivial_augment": changed,
}
PARAMS = {
    "brightness_contrast": {"brightness": 0.2, "contrast": 0.0},
    "RandomBrightnessContrast": {"brightness_limit": (-0.2, 0.2), "contrast_limit": (0.0, 0.0)},
    "noise": {"std": 0.02},
    "GaussNoise": {"std_range": (0.02, 0.03)},
    "color_jitter": {"brightness": 0.0, "contrast": 0.0, "saturation": 0.5},
}
ANY_CHANGE = {
    "flip",
    "HorizontalFlip",
    "VerticalFlip",
}  # the only steps that `changed` can be told apart from
MARKS = {"batch": [], "photo": [pytest.mark.slow]}
OURS = {"flip", "brightness_contrast", "noise", "color_jitter"}


def pairs():
    found = []
    for one, two in combinations(STEPS, 2):
        if STEPS[one] is STEPS[two] or (changed in (STEPS[one], STEPS[two]) and not ANY_CHANGE & {one, two}):
            continue
        places = ("batch", "photo") if {one, two} <= OURS else ("photo",)
        found += [pytest.param(one, two, place, marks=MARKS[place]) for place in places]
    return found


def augmented(steps, place):
    """(PHOTOS, height, width, 3) from 0 to 1, each as training would see it."""
    parsed = policy(steps)
    on_photo = photo_transform(parsed, SIZE)
    if on_photo is None:
        draw = Draw(stream("batch", 0, 1, 0), np.arange(PHOTOS), 1, SIZE)
        photos = torch.from_numpy(PHOTO).expand(PHOTOS, *PHOTO.shape)
        return batch_transform(parsed, AS_IT_IS)(photos, draw).permute(0, 2, 3, 1).numpy()
    assert place == "photo"
    return np.stack([on_photo(PHOTO, row, 1, 0) for row in range(PHOTOS)]) / 255


@pytest.mark.parametrize(("one", "two", "place"), pairs())
def test_two_steps_draw_independently(one, two, place):
    names = [{"_name": name, "p": 0.5, **PARAMS.get(name, {})} for name in (one, two)]
    on = {"on": "photo"} if place == "photo" else {}
    images = augmented([{**step, **(on if step["_name"] in OURS else {})} for step in names], place)
    seen = [np.array([STEPS[name](image) for image in images]) for name in (one, two)]
    assert all(values.std() > 0.01 * values.mean() for values in seen)
    assert abs(np.corrcoef(*seen)[0, 1]) < MAX_CORRELATION


def test_four_steps_of_a_half_leave_one_photo_in_sixteen_as_it_was():
    steps = ["HorizontalFlip", "RandomBrightnessContrast", "GaussNoise", "GaussianBlur"]
    untouched = np.mean([np.allclose(image, PHOTO / 255) for image in augmented(steps, "photo")])
    assert 0.04 < untouched < 0.09


def test_a_step_drawn_twice_is_drawn_independently():
    """Two mirrorings undo each other in half of the photos, not in all of them."""
    shown = augmented(["HorizontalFlip", "HorizontalFlip"], "photo")
    assert 0.42 < np.mean([mirrored(image) for image in shown]) < 0.58
