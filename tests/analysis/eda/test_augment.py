import re

import numpy as np
import pytest
import torch

from analysis.eda import augment, facts
from analysis.eda.page import write_eda
from common.errors import UsageError
from dataset.face_masks.labels import FACE_MASK
from dataset.read import scan_train
from dataset.task import Task
from trial.augment.pipeline import batch_transform
from trial.data.batches import Photos
from trial.preprocessing import Preprocessing
from trial.rng import Draw, stream

BOTH_NAME = "GaussianBlur+affine+noise"
BOTH = (
    '[{"_name": "GaussianBlur", "blur_limit": [3, 5], "p": 1}, {"_name": "affine", "degrees": 15}, "noise"]'
)


def test_a_policy_is_a_name_or_a_list_of_steps():
    light, own = augment.read_policies(["light", BOTH])
    assert light.name == "light"
    assert augment.steps_of(own)[:2] == [
        ("GaussianBlur", "blur_limit 3, 5, p 1", "photo by photo"),
        ("affine", "degrees 15, shift 0.05, scale 0.1, shear 0, p 1", "on whole batches"),
    ]


def test_all_that_is_wrong_with_policies_is_said_at_once():
    with pytest.raises(UsageError) as error:
        augment.read_policies(["ligth", '["fip"]', '[{"_name": "GaussianBlur", "blur_limit": "x"}]', "light"])
    for words in ("did you mean light?", "did you mean flip?", "GaussianBlur: "):
        assert words in str(error.value)


@pytest.fixture(scope="module")
def table(people):
    return scan_train(people).table


def test_a_sample_of_each_mask_state_of_other_people_and_by_seed(table):
    photos, pixels = augment.samples(FACE_MASK, table, seed=3)
    assert photos["mask"].tolist() == [0, 1, 2]
    assert photos["group"].is_unique
    assert pixels.shape == (3, 160, 120, 3)
    assert photos.equals(augment.samples(FACE_MASK, table, seed=3)[0])
    assert not photos.equals(augment.samples(FACE_MASK, table, seed=4)[0])


def test_without_factors_a_sample_of_each_class_up_to_a_few(table):
    task = Task("photos", tuple(map(str, range(18))), group="person", groups="people")
    photos, pixels = augment.samples(task, table, seed=3)
    assert photos["label"].tolist() == list(range(facts.MAX_ROWS))
    assert len(pixels) == facts.MAX_ROWS


def test_a_photo_that_cannot_be_decoded_is_passed_over(table, tmp_path):
    (tmp_path / "none.jpg").write_text("no photo")
    first, _ = augment.samples(FACE_MASK, table, seed=0)
    broken = table.copy()
    broken.loc[first.index[0], "path"] = str(tmp_path / "none.jpg")
    photos, _ = augment.samples(FACE_MASK, broken, seed=0)
    assert photos["mask"].tolist() == [0, 1, 2]
    assert first.index[0] not in photos.index


def test_what_is_shown_is_what_a_trial_trains_on(table):
    """Held against the trial's own way of a batch: photos as they are loaded, then prepared on the device."""
    (policy,) = augment.read_policies([BOTH])
    small = table.head(4)
    size, seed = (64, 48), 5
    own = Preprocessing(size, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4), "bicubic")
    loaded, plain = Photos(small, own, None, policy, seed), Photos(small, own)
    photos = plain.__getitems__([(1, row, 0) for row in range(4)]).photos.numpy()
    shown = augment.augmented(policy, photos, np.arange(4), seed)
    assert len(shown) == augment.TIMES
    for epoch, seen in enumerate(shown, start=1):
        batch = loaded.__getitems__([(epoch, row, 0) for row in range(4)])
        images = batch_transform(policy, own)(
            batch.photos, Draw(stream("batch", seed, epoch, 0), batch.rows, epoch, size)
        )
        mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (own.mean, own.std))
        wanted = ((images * std + mean) * 255).permute(0, 2, 3, 1).numpy()
        assert abs(seen - wanted).max() < 1
        assert abs(seen.astype(int) - photos).max() > 20


def test_a_flip_is_shown_as_one(table):
    (policy,) = augment.read_policies(['[{"_name": "flip", "p": 1}]'])
    photos, pixels = augment.samples(FACE_MASK, table, seed=0)
    for seen in augment.augmented(policy, pixels, photos.index.to_numpy(), 0):
        assert np.array_equal(seen, pixels[:, :, ::-1])


@pytest.mark.slow
def test_the_page_shows_each_policy_with_its_steps(people, tmp_path):
    page = write_eda(people, tmp_path / "out", ["light", "baseline", BOTH]).read_text()
    section = re.search(r'<section id="augmentation">.*?</section>', page, flags=re.DOTALL).group()
    assert re.findall("<h3>(.*?)</h3>", section) == ["light", "baseline", BOTH_NAME]
    assert section.count("<img") == 3 * 3 * (1 + augment.TIMES)
    assert "blur_limit 3, 5, p 1" in section
    assert "photo by photo" in section
    without = write_eda(people, tmp_path / "without").read_text()
    assert 'id="augmentation"' not in without
