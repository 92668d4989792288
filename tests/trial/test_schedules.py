import pytest
import torch

from trial.schedules import SCHEDULES


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
        ours.hear(loss)
    assert ours(0.0) == optimizer.param_groups[0]["lr"] < 0.2


def test_plateau_counts_no_bad_epoch_while_it_warms_up():
    ours = SCHEDULES["plateau"](20, factor=0.5, patience=0, warmup=3.0)
    for loss in [2.0, 2.1, 2.2]:
        ours.hear(loss)
    assert ours(3.0) == 1
    ours.hear(2.3)
    assert ours(4.0) == 0.5
