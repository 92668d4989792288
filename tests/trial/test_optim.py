import pytest
import torch

from trial.optim import OPTIMIZERS, SCHEDULES


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


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimiser_goes_downhill(name):
    weight = torch.nn.Parameter(torch.ones(3))
    optimizer = OPTIMIZERS[name]([weight], 0.1, 0.0)
    (weight**2).sum().backward()
    optimizer.step()
    assert (weight < 1).all()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_weight_decay_shrinks_a_weight_without_gradient(name):
    weight = torch.nn.Parameter(torch.ones(3))
    optimizer = OPTIMIZERS[name]([weight], 0.1, 0.5)
    (weight * 0).sum().backward()
    optimizer.step()
    assert (weight < 1).all()
