import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import f1_score
from sklearn.utils.class_weight import compute_class_weight

from trial.learning.losses import (
    LOSSES,
    class_balanced,
    f1,
    focal,
    label_smoothing,
    logit_adjusted,
    weighted,
)

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
    seeds = weighted(COUNTS, class_weights="one_minus_frequency")(LOGITS, LABELS).item()
    inverse = weighted(COUNTS)(LOGITS, LABELS).item()
    assert abs(seeds - plain) < abs(inverse - plain)
    weight = (1 - COUNTS / COUNTS.sum()).float()
    assert seeds == pytest.approx(F.cross_entropy(LOGITS, LABELS, weight=weight).item(), rel=1e-5)


def test_a_class_without_photos_makes_no_infinite_weight():
    counts = COUNTS.clone()
    counts[2] = 0
    assert torch.isfinite(weighted(counts)(LOGITS, LABELS))


@pytest.mark.parametrize("name", ["weighted", "class_balanced"])
def test_a_batch_of_such_classes_alone_has_no_loss_and_no_gradient(name):
    """As in validation, if the training photos lack a class."""
    logits = torch.randn(2, 3, requires_grad=True)
    loss = LOSSES[name](torch.tensor([10, 5, 0]))(logits, torch.tensor([2, 2]))
    loss.backward()
    assert loss == 0 and (logits.grad == 0).all()


def test_focal_is_cross_entropy_at_gamma_0_and_the_papers_formula_else():
    assert focal(COUNTS, gamma=0.0)(LOGITS, LABELS) == pytest.approx(F.cross_entropy(LOGITS, LABELS).item())
    p = LOGITS.softmax(1)[torch.arange(64), LABELS]
    assert focal(COUNTS, gamma=2.0)(LOGITS, LABELS) == pytest.approx(
        (-((1 - p) ** 2) * p.log()).mean().item()
    )


def test_class_balanced_weighs_by_the_effective_number_of_photos():
    effective = (1 - 0.99 ** COUNTS.double()) / (1 - 0.99)
    expected = F.cross_entropy(LOGITS, LABELS, weight=(1 / effective).float())
    assert class_balanced(COUNTS, beta=0.99)(LOGITS, LABELS) == pytest.approx(expected.item(), rel=1e-5)
    plain = F.cross_entropy(LOGITS, LABELS).item()
    assert class_balanced(COUNTS, beta=0.0)(LOGITS, LABELS) == pytest.approx(plain, rel=1e-5)
    inverse = weighted(COUNTS)(LOGITS, LABELS).item()
    assert class_balanced(COUNTS, beta=0.999999)(LOGITS, LABELS) == pytest.approx(inverse, rel=1e-3)


def test_label_smoothing_is_the_papers_formula():
    log_p = LOGITS.log_softmax(1)
    expected = 0.9 * F.nll_loss(log_p, LABELS) - 0.1 * log_p.mean()
    assert label_smoothing(COUNTS, smoothing=0.1)(LOGITS, LABELS) == pytest.approx(expected.item(), rel=1e-5)


def test_f1_of_sure_answers_is_scikit_learns_macro_f1():
    answers = LOGITS.argmax(1)
    sure = F.one_hot(answers, 18) * 1000.0
    held = sorted(set(LABELS.tolist()))
    expected = f1_score(LABELS, answers, labels=held, average="macro", zero_division=0)
    assert f1(COUNTS)(sure, LABELS) == pytest.approx(1 - expected, abs=1e-5)


def test_logit_adjusted_is_the_papers_formula_and_makes_the_optimum_balanced():
    prior = COUNTS / COUNTS.sum()
    p = LOGITS.double().exp() * prior**1.5
    expected = -(p[torch.arange(64), LABELS] / p.sum(1)).log().mean()
    assert logit_adjusted(COUNTS, tau=1.5)(LOGITS, LABELS) == pytest.approx(expected.item(), rel=1e-5)
    # Where photos of all classes look the same, the best plain logits are the log frequencies; here they are 0.
    labels = torch.repeat_interleave(torch.arange(18), COUNTS)
    logits = torch.zeros(1, 18, requires_grad=True)
    logit_adjusted(COUNTS)(logits.expand(len(labels), 18), labels).backward()
    assert logits.grad.abs().max() < 1e-6


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
def test_focal_has_a_gradient_where_an_answer_is_sure(gamma):
    logits = torch.zeros(2, 18)
    logits[:, 3] = 25.0
    logits.requires_grad_()
    focal(COUNTS, gamma=gamma)(logits, torch.tensor([3, 4])).backward()
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_pulls_towards_the_label(name):
    logits = torch.zeros(4, 18, requires_grad=True)
    labels = torch.tensor([0, 1, 2, 3])
    LOSSES[name](COUNTS)(logits, labels).backward()
    assert (logits.grad[range(4), labels] < 0).all()


OTHERS, SHARES = LABELS.roll(1), torch.linspace(0, 1, 64)
MIXED = F.one_hot(OTHERS, 18).float().lerp(F.one_hot(LABELS, 18).float(), SHARES[:, None])


def one_by_one(loss, labels):
    """(64,) the loss of each photo by itself."""
    return torch.stack(
        [loss(logits[None], label[None]) for logits, label in zip(LOGITS, labels, strict=True)]
    )


@pytest.mark.parametrize("name", ["cross_entropy", "label_smoothing", "focal", "logit_adjusted"])
def test_a_mixed_photos_loss_is_its_two_labels_losses_in_their_shares(name):
    loss = LOSSES[name](COUNTS)
    expected = (SHARES * one_by_one(loss, LABELS) + (1 - SHARES) * one_by_one(loss, OTHERS)).mean()
    assert loss(LOGITS, MIXED) == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize(
    ("name", "weight"),
    [
        ("weighted", 1 / COUNTS.double()),
        ("class_balanced", (1 - 0.9999) / (1 - 0.9999 ** COUNTS.double())),
    ],
)
def test_of_a_mixed_photo_each_share_has_the_weight_of_its_class(name, weight):
    plain = -LOGITS.double().log_softmax(1)
    rows = torch.arange(64)
    mine, theirs = SHARES * weight[LABELS], (1 - SHARES) * weight[OTHERS]
    expected = (mine * plain[rows, LABELS] + theirs * plain[rows, OTHERS]).sum() / (mine + theirs).sum()
    assert LOSSES[name](COUNTS)(LOGITS, MIXED) == pytest.approx(expected.item(), rel=1e-5)


def test_f1_counts_shares_as_hits_of_both_classes():
    p, shares = LOGITS.softmax(1).numpy(), MIXED.numpy()
    found = [2 * (shares[:, c] * p[:, c]).sum() / (shares[:, c] + p[:, c]).sum() for c in range(18)]
    held = shares.sum(0) > 0
    assert f1(COUNTS)(LOGITS, MIXED) == pytest.approx(1 - np.mean(np.array(found)[held]), rel=1e-5)
