import numpy as np
import pytest
import torch

from dataset.face_masks.labels import FACE_MASK
from trial.augment.mixing import MIXINGS
from trial.learning.losses import LOSSES
from trial.rng import Draw

B, SIZE = 64, (16, 12)
LABELS = torch.arange(B) % 18
IMAGES = LABELS.float().view(-1, 1, 1, 1).expand(B, 3, *SIZE).contiguous()  # every pixel is its label


def mixed(name, seed=0, **params):
    draw = Draw(np.random.default_rng(seed), np.arange(B), 1, SIZE)
    return MIXINGS[name](FACE_MASK, **params)(IMAGES.clone(), LABELS, draw)


@pytest.mark.parametrize("name", ["mixup", "cutmix", "cutmix_vertical"])
def test_the_targets_are_the_fractions_of_the_pixels(name):
    images, targets = mixed(name, p=1.0)
    assert torch.allclose(targets.sum(1), torch.ones(B))
    # The mean of the pixels, each of which is its label, is the targets' mean label.
    assert torch.allclose(images.mean((1, 2, 3)), targets @ torch.arange(18.0), atol=1e-4)
    assert ((targets > 0).sum(1) == 2).float().mean() > 0.7


def test_mixup_fractions_are_beta():
    fractions = torch.cat([mixed("mixup", seed, alpha=0.4)[1].amax(1) for seed in range(40)]).numpy()
    expected = np.random.default_rng(0).beta(0.4, 0.4, 20_000)
    assert fractions.mean() == pytest.approx(np.maximum(expected, 1 - expected).mean(), abs=0.02)


def test_cutmix_cuts_one_rectangle():
    images, targets = mixed("cutmix", alpha=1.0, p=1.0)
    for image, label, target in zip(images, LABELS, targets, strict=True):
        foreign = image[0] != label
        rows, columns = foreign.any(1), foreign.any(0)
        assert foreign.sum() == rows.sum() * columns.sum()
        assert float(target[label]) == pytest.approx(1 - float(foreign.float().mean()), abs=1e-5)


def test_cutmix_vertical_cuts_once_within_its_bounds():
    images, targets = mixed("cutmix_vertical", low=0.4, high=0.6, p=1.0)
    cuts = set()
    for image, label, target in zip(images, LABELS, targets, strict=True):
        own = (image[0] == label).all(0)
        cut = int(own.sum())
        if cut < SIZE[1]:  # else its partner has the same class
            assert own[:cut].all() and 0.4 * 12 - 0.5 <= cut <= 0.6 * 12 + 0.5
            assert float(target[label]) == pytest.approx(cut / 12)
            cuts.add(cut)
    assert len(cuts) > 1


def test_mixup_rare_blends_them_alone_and_with_other_classes():
    images, targets = mixed("mixup_rare", alpha=5.0, p=1.0)
    oldest = LABELS % 3 == 2
    assert torch.equal(targets[~oldest], torch.nn.functional.one_hot(LABELS[~oldest], 18).float())
    assert torch.equal(images[~oldest], IMAGES[~oldest])
    assert ((targets[oldest] > 0).sum(1) == 2).all()
    assert torch.allclose(images.mean((1, 2, 3)), targets @ torch.arange(18.0), atol=1e-4)


def test_mixup_rare_leaves_a_batch_of_one_class_alone():
    draw = Draw(np.random.default_rng(0), np.arange(4), 1, SIZE)
    images, labels = torch.rand(4, 3, *SIZE), torch.full((4,), 5)
    same, targets = MIXINGS["mixup_rare"](FACE_MASK, p=1.0)(images.clone(), labels, draw)
    assert torch.equal(same, images)
    assert torch.equal(targets.argmax(1), labels) and (targets.amax(1) == 1).all()


def test_as_often_as_p_says():
    happened = [(mixed("mixup", seed, alpha=5.0, p=0.3)[1] > 0).sum(1) == 2 for seed in range(20)]
    # One in 18 or so of the partners has the same class.
    assert torch.cat(happened).float().mean() == pytest.approx(0.3 * 17 / 18, abs=0.05)


def test_none_leaves_the_labels_as_they_are():
    images, targets = mixed("none")
    assert torch.equal(images, IMAGES)
    assert torch.equal(targets, LABELS)


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_takes_probabilities_and_agrees_with_labels_if_they_are_0_or_1(loss):
    built = LOSSES[loss](torch.arange(1, 19))
    logits = torch.randn(B, 18, generator=torch.Generator().manual_seed(0))
    whole = torch.nn.functional.one_hot(LABELS, 18).float()
    assert float(built(logits, whole)) == pytest.approx(float(built(logits, LABELS)), rel=1e-5)
    half = (whole + whole.roll(1, 1)) / 2
    assert float(built(logits, half)) != pytest.approx(float(built(logits, LABELS)), rel=1e-3)
