"""The simulation of how many folds the assessor saves."""

import numpy as np
import pytest

pytest.importorskip("nni")

from benchmarks.search import folds, generated
from benchmarks.search.folds import fold_curves, simulate


@pytest.fixture(scope="module")
def curves():
    found = generated.generate("crossing", 0, 24)
    return found.part(np.flatnonzero(np.isfinite(found.final)))


def test_reports_are_means_of_folds_that_all_recipes_share(curves, monkeypatch):
    monkeypatch.setattr(folds, "OWN", 0.0)
    made, true = fold_curves(curves, 5, 1.0, np.random.default_rng(0))
    scores = np.diff(made.scores * np.arange(1, 6), prepend=0, axis=1)
    shared = scores - true[:, None]
    np.testing.assert_allclose(shared, np.broadcast_to(shared[0], shared.shape), atol=1e-12)
    np.testing.assert_array_equal(made.final, made.scores[:, -1])
    _, close = fold_curves(curves, 5, 0.25, np.random.default_rng(0))
    assert close.max() == true.max()
    assert np.ptp(close) == pytest.approx(0.25 * np.ptp(true))


def test_without_noise_folds_are_saved_and_the_best_is_kept(curves, monkeypatch):
    monkeypatch.setattr(folds, "OWN", 0.0)
    lines = list(simulate(curves, "random", 3, 8, [(5, "p=0.1"), (5, "p=0.26")]))
    assert [(line.spread, line.assessor) for line in lines] == [
        (spread, name) for spread in ("recorded", "close") for name in ("p=0.1", "p=0.26")
    ]
    assert all(line.dropped == line.regret == line.without == 0 for line in lines)
    few, many = (line.saved for line in lines[:2])
    assert 0 < few < many
    assert few <= 1 / 5, "one of five folds at most"
    assert many <= 3 / 5
