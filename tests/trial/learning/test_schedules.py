import numpy as np
import pytest
import torch

from trial.learning.schedules import SCHEDULES, middle


def factors(name: str, epochs: int = 10, **numbers) -> list[float]:
    schedule = SCHEDULES[name](epochs, **numbers)
    return [schedule(done / 4) for done in range(4 * epochs)]


def test_schedules_have_their_shapes():
    assert set(factors("constant")) == {1.0}
    cosine = factors("cosine", warmup=1.0)
    assert cosine[0] == 0
    assert max(cosine) == cosine[4] == 1
    assert cosine[-1] < 0.01
    cycle = factors("onecycle", peak=0.25, start=0.04)
    assert cycle[0] == pytest.approx(0.04)
    assert max(cycle) == cycle[10] == 1
    assert cycle[-1] < 0.01
    steps = factors("step", every=0.5, factor=0.1)
    assert steps[19] == 1
    assert steps[20] == pytest.approx(0.1)


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_means_the_same_whatever_the_steps_an_epoch(name):
    schedule = SCHEDULES[name](8)
    assert all(0 <= schedule(done / 7) <= 1 for done in range(56))
    assert schedule(3.0) == SCHEDULES[name](8)(3.0)


@pytest.mark.parametrize("name", ["constant", "cosine", "step", "plateau"])
def test_a_warm_up_rises_from_0_to_the_whole_learning_rate(name):
    assert factors(name, warmup=2.0)[:9] == pytest.approx([done / 8 for done in range(9)])


def test_plateau_is_torchs():
    losses = [3.0, 2.0, 2.0, 2.1, 2.2, 1.9, 1.9, 1.9, 1.95, 1.9, 1.9, 1.8, 1.85]
    weight = torch.nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    reference = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=1, threshold=0)
    ours = SCHEDULES["plateau"](20, factor=0.5, patience=1)
    for loss in losses:
        assert ours(0.0) == optimizer.param_groups[0]["lr"]
        reference.step(loss)
        ours.step(loss)
    assert ours(0.0) == optimizer.param_groups[0]["lr"] < 0.2


def test_plateau_counts_no_bad_epoch_while_it_warms_up():
    ours = SCHEDULES["plateau"](20, factor=0.5, patience=0, warmup=3.0)
    for loss in [2.0, 2.1, 2.2]:
        ours.step(loss)
    assert ours(3.0) == 1
    ours.step(2.3)
    assert ours(4.0) == 0.5


def of_steps(name: str, epochs: int, batches: int, accumulate: int = 1, **parameters) -> list[float]:
    """The factor of each step of a training, as `fit` takes it."""
    schedule = SCHEDULES[name](epochs, **parameters)
    return [
        schedule(middle(epoch, first, min(accumulate, batches - first), batches))
        for epoch in range(1, epochs + 1)
        for first in range(0, batches, accumulate)
    ]


LENGTHS = [(1, 1), (1, 2), (2, 1), (3, 1), (1, 7), (5, 3), (20, 1), (12, 40)]


@pytest.mark.parametrize(("epochs", "batches"), LENGTHS)
@pytest.mark.parametrize("accumulate", [1, 2, 100])
def test_neither_the_first_step_nor_the_last_is_idle(epochs, batches, accumulate):
    together = batches % accumulate or min(accumulate, batches)  # of the last step
    left = together / 2 / batches / epochs  # of the training, in the middle of the last step
    for name in SCHEDULES:
        factors = of_steps(name, epochs, batches, accumulate)
        assert min(factors) > 0, name
        assert factors[0] >= 0.04, name  # where onecycle begins
        if name in ("cosine", "onecycle"):  # by half a cosine to 0 at the end
            assert factors[-1] >= 0.999 * np.sin(np.pi * left / 2) ** 2, name


@pytest.mark.parametrize(("epochs", "batches"), LENGTHS)
def test_steps_of_any_number_add_up_to_the_same_training(epochs, batches):
    assert np.mean(of_steps("cosine", epochs, batches)) == pytest.approx(0.5)
    assert np.mean(of_steps("constant", epochs, batches, warmup=epochs)) == pytest.approx(0.5)


def test_a_warm_up_of_an_epoch_with_one_step_is_at_half_not_idle():
    assert of_steps("constant", 3, 4, accumulate=8, warmup=1.0) == [0.5, 1, 1]
    assert of_steps("cosine", 1, 4, accumulate=8) == [pytest.approx(0.5)]
