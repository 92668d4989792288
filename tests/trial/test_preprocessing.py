import numpy as np
import torch

from trial.preprocessing import Preprocessing

PHOTO = np.random.default_rng(0).integers(0, 256, (64, 48, 3), dtype=np.uint8)
PREPROCESSING = Preprocessing((64, 48), (0.5, 0.4, 0.3), (0.2, 0.25, 0.5), "bicubic")


def test_normalising_takes_mean_and_std_of_each_channel():
    normal = PREPROCESSING.normalise(torch.from_numpy(PHOTO)[None])
    expected = (torch.from_numpy(PHOTO) / 255 - torch.tensor([0.5, 0.4, 0.3])) / torch.tensor(
        [0.2, 0.25, 0.5]
    )
    assert torch.allclose(normal[0].permute(1, 2, 0), expected, atol=1e-5)
    assert normal.is_contiguous(memory_format=torch.channels_last)


def test_augmented_photos_from_0_to_1_are_normalised_alike():
    whole = torch.from_numpy(PHOTO)[None]
    floats = whole.permute(0, 3, 1, 2).contiguous() / 255
    normal = PREPROCESSING.normalise(floats)
    assert torch.allclose(normal, PREPROCESSING.normalise(whole), atol=1e-5)
    assert normal.is_contiguous(memory_format=torch.channels_last)


def test_what_was_written_is_read():
    assert Preprocessing.from_json(PREPROCESSING.to_json()) == PREPROCESSING
