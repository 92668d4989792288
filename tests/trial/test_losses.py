import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.utils.class_weight import compute_class_weight

from trial.losses import LOSSES, focal, weighted

COUNTS = torch.tensor([50, 30, 5, 15] + [10] * 14)
torch.manual_seed(0)
LOGITS, LABELS = torch.randn(64, 18), torch.randint(18, (64,))


def test_inverse_weights_are_scikit_learns_balanced():
    labels = torch.repeat_interleave(torch.arange(18), COUNTS).numpy()
    reference = torch.tensor(
        compute_class_weight("balanced", classes=np.arange(18), y=labels), dtype=torch.float32
    )
    expected = F.cross_entropy(LOGITS, LABELS, weight=reference)
    assert weighted(COUNTS)(LOGITS, LABELS) == pytest.approx(expected.item(), rel=1e-5)


def test_one_minus_frequency_is_nearly_flat():
    plain = F.cross_entropy(LOGITS, LABELS).item()
    seeds = weighted(COUNTS, weights="one_minus_frequency")(LOGITS, LABELS).item()
    inverse = weighted(COUNTS)(LOGITS, LABELS).item()
    assert abs(seeds - plain) < abs(inverse - plain)
    weight = (1 - COUNTS / COUNTS.sum()).float()
    assert seeds == pytest.approx(F.cross_entropy(LOGITS, LABELS, weight=weight).item(), rel=1e-5)


def test_a_class_without_photos_makes_no_infinite_weight():
    counts = COUNTS.clone()
    counts[2] = 0
    assert torch.isfinite(weighted(counts)(LOGITS, LABELS))


def test_focal_is_cross_entropy_at_gamma_0_and_the_papers_formula_else():
    assert focal(COUNTS, gamma=0.0)(LOGITS, LABELS) == pytest.approx(F.cross_entropy(LOGITS, LABELS).item())
    p = LOGITS.softmax(1)[torch.arange(64), LABELS]
    assert focal(COUNTS, gamma=2.0)(LOGITS, LABELS) == pytest.approx(
        (-((1 - p) ** 2) * p.log()).mean().item()
    )


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_pulls_towards_the_label(name):
    logits = torch.zeros(4, 18, requires_grad=True)
    labels = torch.tensor([0, 1, 2, 3])
    LOSSES[name](COUNTS)(logits, labels).backward()
    assert (logits.grad[range(4), labels] < 0).all()
