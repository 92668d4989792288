import re

import numpy as np
import pandas as pd
import pytest

from analysis.lr_range import measure
from analysis.lr_range.measure import write_lr_range
from analysis.lr_range.result import smooth, suggest
from common.errors import UsageError
from tests.conftest import TINY
from trial.learning.optimizers import OPTIMIZERS
from trial.run_folder.record import RunFolder


def curve(losses: np.ndarray, low: float = 1e-6, high: float = 1.0) -> pd.DataFrame:
    rates = np.geomspace(low, high, len(losses))
    return pd.DataFrame({"learning_rate": rates, "loss": losses, "smoothed_loss": losses})


def test_the_suggestions_are_where_the_loss_falls_fastest_and_a_tenth_of_where_it_is_least():
    decades = np.linspace(-6, 0, 121)
    falls = 2 - np.tanh(2 * (decades + 4))  # fastest at 1e-4
    bursts = np.exp(8 * (decades + 1))
    found = suggest(curve(falls + bursts))
    least = decades[(falls + bursts).argmin()]
    assert found.steepest == pytest.approx(1e-4)
    assert found.tenth_of_min == pytest.approx(10 ** (least - 1))


@pytest.mark.parametrize(
    "losses", [np.linspace(2, 9, 50), np.full(50, 2.0), 2 + 0.01 * np.sin(np.arange(50))]
)
def test_where_the_loss_never_fell_nothing_is_suggested(losses):
    assert suggest(curve(losses)).steepest is None
    assert "no suggestion" in str(suggest(curve(losses)))


def test_smoothing_moves_no_place_and_keeps_the_ends():
    step = np.repeat([3.0, 1.0], 40)
    smoothed = smooth(step, 3)
    assert smoothed.shape == step.shape
    assert smoothed[39] + smoothed[40] == pytest.approx(4), "as far from either side"
    assert np.abs(np.diff(smoothed)).argmax() == 39
    assert smoothed[[0, -1]] == pytest.approx([3, 1])


def test_it_ends_where_the_loss_diverges_or_is_not_a_number():
    assert list(measure._until_diverged(iter([2.0, 1.0, float("nan"), 1.0]))) == [2, 1]
    losses = [2.0] * 10 + [9.0] * 30
    kept = list(measure._until_diverged(iter(losses)))
    assert 11 < len(kept) < 40, "not by one step, but for good"
    assert list(measure._until_diverged(iter([2.0] * 10 + [7.9] * 30))) == [2.0] * 10 + [7.9] * 30


@pytest.fixture
def recipe(people):
    return {**TINY, "optimizer": "sgd", "batch_size": 16, "data": str(people)}


def test_each_step_is_taken_at_the_rate_beside_its_loss(recipe, tmp_path, monkeypatch):
    taken = []

    def spy(parameters, learning_rate, weight_decay, **numbers):
        optimizer = sgd(parameters, learning_rate, weight_decay, **numbers)
        optimizer.register_step_pre_hook(lambda own, *_: taken.append(own.param_groups[0]["lr"]))
        return optimizer

    sgd = OPTIMIZERS["sgd"]
    monkeypatch.setitem(OPTIMIZERS, "sgd", spy)
    out = tmp_path / "out"
    write_lr_range(recipe, out, steps=20, low=1e-5, high=1e-2)
    table = pd.read_csv(out / "lr_range.csv")
    assert list(table.columns) == ["step", "learning_rate", "loss", "smoothed_loss"]
    assert table["learning_rate"].tolist() == pytest.approx(np.geomspace(1e-5, 1e-2, 20))
    assert taken == pytest.approx(table["learning_rate"].tolist())
    assert table["loss"].iloc[0] == pytest.approx(np.log(18), rel=0.5)
    assert RunFolder(out).config().model == recipe["model"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    page = re.sub(r"<script.*?</script>", "", (out / "lr_range.html").read_text(), flags=re.DOTALL)
    assert recipe["model"] in page
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", page)


@pytest.mark.slow
def test_it_ends_early_where_the_rate_is_far_too_high_and_is_the_same_twice(recipe, tmp_path):
    tables = []
    for name in "ab":
        write_lr_range(recipe, tmp_path / name, steps=40, low=1e-4, high=1e6)
        tables.append(pd.read_csv(tmp_path / name / "lr_range.csv"))
    assert len(tables[0]) < 40
    pd.testing.assert_frame_equal(*tables)
    assert "then the loss diverged" in (tmp_path / "a" / "lr_range.html").read_text()


def test_of_cached_features_the_last_layer_alone_is_trained(recipe, tmp_path):
    write_lr_range(recipe | {"features": "cached"}, tmp_path / "out", steps=20, low=1e-5, high=1e-2)
    assert len(pd.read_csv(tmp_path / "out" / "lr_range.csv")) == 20


def test_what_is_interrupted_leaves_nothing(recipe, tmp_path, monkeypatch):
    def interrupted(losses):
        next(losses)
        raise KeyboardInterrupt

    monkeypatch.setattr(measure, "_until_diverged", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_lr_range(recipe, tmp_path / "out", steps=20)
    assert not list(tmp_path.iterdir())


def test_everything_wrong_is_refused_at_once(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    with pytest.raises(UsageError) as error:
        write_lr_range({"data": "nowhere", "out": "x", "lossy": 1}, tmp_path / "full", 3, 1.0, 0.1)
    for words in ("data=nowhere", "out=: use --out", "did you mean loss", "full already exists", "--steps 3",
                  "--from 1 --to 0.1"):  # fmt: skip
        assert words in str(error.value)
