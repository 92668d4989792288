import numpy as np
import pytest
import torch

from trial.draw import Draw
from trial.losses import LOSSES
from trial.mixing import MIXINGS

B, SIZE = 64, (16, 12)
LABELS = torch.arange(B) % 18
IMAGES = LABELS.float().view(-1, 1, 1, 1).expand(B, 3, *SIZE).contiguous()  # every pixel is its label


def mixed(name, seed=0, **numbers):
    draw = Draw(np.random.default_rng(seed), np.arange(B), 1, SIZE)
    return MIXINGS[name](**numbers)(IMAGES.clone(), LABELS, draw)


@pytest.mark.parametrize("name", ["mixup", "cutmix"])
def test_the_targets_are_the_shares_of_the_pixels(name):
    images, targets = mixed(name, p=1.0)
    assert torch.allclose(targets.sum(1), torch.ones(B))
    # The mean of the pixels, each of which is its label, is the targets' mean label.
    assert torch.allclose(images.mean((1, 2, 3)), targets @ torch.arange(18.0), atol=1e-4)
    assert ((targets > 0).sum(1) == 2).float().mean() > 0.7


def test_mixup_shares_are_beta():
    shares = torch.cat([mixed("mixup", seed, alpha=0.4)[1].amax(1) for seed in range(40)]).numpy()
    expected = np.random.default_rng(0).beta(0.4, 0.4, 20_000)
    assert shares.mean() == pytest.approx(np.maximum(expected, 1 - expected).mean(), abs=0.02)


def test_cutmix_cuts_one_rectangle():
    images, targets = mixed("cutmix", alpha=1.0, p=1.0)
    for image, label, target in zip(images, LABELS, targets, strict=True):
        foreign = image[0] != label
        rows, columns = foreign.any(1), foreign.any(0)
        assert foreign.sum() == rows.sum() * columns.sum()
        assert float(target[label]) == pytest.approx(1 - float(foreign.float().mean()), abs=1e-5)


def test_as_often_as_p_says():
    happened = [(mixed("mixup", seed, alpha=5.0, p=0.3)[1] > 0).sum(1) == 2 for seed in range(20)]
    # One in 18 or so of the partners has the same class.
    assert torch.cat(happened).float().mean() == pytest.approx(0.3 * 17 / 18, abs=0.05)


def test_none_leaves_the_labels_as_they_are():
    images, targets = mixed("none")
    assert torch.equal(images, IMAGES)
    assert torch.equal(targets, LABELS)


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_takes_shares_and_agrees_with_labels_where_they_are_whole(loss):
    built = LOSSES[loss](torch.arange(1, 19))
    logits = torch.randn(B, 18, generator=torch.Generator().manual_seed(0))
    whole = torch.nn.functional.one_hot(LABELS, 18).float()
    assert float(built(logits, whole)) == pytest.approx(float(built(logits, LABELS)), rel=1e-5)
    half = (whole + whole.roll(1, 1)) / 2
    assert float(built(logits, half)) != pytest.approx(float(built(logits, LABELS)), rel=1e-2)
