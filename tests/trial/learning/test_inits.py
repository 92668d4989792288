"""What the last layer starts from: discriminants, of values or along numbers."""

import numpy as np
import pytest
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from common.errors import UsageError
from trial.learning import inits
from trial.learning.inits import Target, chosen, lda, lda_cv, splits_of

EACH = np.empty(0)  # groups, which only lda_cv looks at


def test_lda_is_scikit_learns():
    random = np.random.default_rng(0)
    means = random.normal(size=(3, 5))
    values = random.integers(3, size=300)
    points = means[values] + random.normal(size=(300, 5))
    theirs = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit(points, values)
    weight, bias = lda()(points, [Target(values, 3)], EACH)
    logits = points @ weight.T + bias
    logits -= logits.max(1, keepdims=True)
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert np.allclose(probabilities, theirs.predict_proba(points), atol=1e-8)


@pytest.mark.filterwarnings("ignore:Only one sample available")
@pytest.mark.parametrize(
    "values", [[0] * 12, [0] * 11 + [1], range(12)], ids=["one", "lonely", "each its own"]
)
def test_lda_takes_few_photos_of_a_value(values):
    """As in a short trial on few groups of a set with many classes."""
    points = np.random.default_rng(0).normal(size=(12, 5)).astype(np.float32)
    weight, bias = lda(shrinkage=0.3)(points, [Target(np.array(values), 14)], EACH)
    assert (points @ weight.T + bias).argmax(1).tolist() == list(values)


def test_lda_of_two_factors_one_value_of_which_has_no_photo():
    random = np.random.default_rng(0)
    values = np.stack([random.integers(2, size=200), random.integers(2, size=200)], 1)
    points = values @ np.array([[4.0, 0, 0], [0, 4, 0]]) + random.normal(size=(200, 3))
    weight, bias = lda(temperature=2)(points, [Target(values[:, 0], 2), Target(values[:, 1], 3)], EACH)
    assert weight.shape == (5, 3)
    logits = points @ weight.T + bias
    assert (logits[:, :2].argmax(1) == values[:, 0]).mean() > 0.95
    assert (logits[:, 2:].argmax(1) == values[:, 1]).mean() > 0.95, "the third value is not predicted"


def test_balance_favours_what_is_rare():
    random = np.random.default_rng(0)
    values = (random.random(500) < 0.1).astype(int)
    points = values[:, None] + random.normal(size=(500, 2))
    rare = []
    for balance in (0.0, 1.0):
        weight, bias = lda(balance=balance)(points, [Target(values, 2)], EACH)
        rare.append(((points @ weight.T + bias).argmax(1) == 1).mean())
    assert rare[0] < rare[1]


def bands_of(weight, bias, points, subclasses):
    """(N, bands) probabilities."""
    outputs = torch.from_numpy(points @ weight.T + bias).softmax(1)
    return outputs.unflatten(1, (-1, subclasses)).sum(2).numpy()


def test_subclasses_of_few_numbers_without_smoothing_are_a_discriminant_of_each_number():
    """Two numbers in each band, as frequent as each other, and a kernel too narrow for two numbers: the
    posteriors of four values, summed in pairs."""
    random = np.random.default_rng(0)
    numbers = np.tile([20, 29, 30, 40], 50)
    points = np.stack([np.sin(numbers / 5), numbers / 20], 1) + random.normal(size=(200, 2))
    values = (numbers >= 30).astype(int)
    found = lda(shrinkage=0.1, smoothing=0.01)(points, [Target(values, 2, 2, numbers)], EACH)
    theirs = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.1).fit(points, numbers)
    expected = theirs.predict_proba(points).reshape(-1, 2, 2).sum(2)
    assert np.allclose(bands_of(*found, points, 2), expected, atol=1e-8)


def test_a_smoothed_band_borrows_from_numbers_near_it():
    """Of the last band one photo is known, an outlier: its mean is drawn towards the numbers before."""
    random = np.random.default_rng(0)
    numbers = np.append(random.integers(20, 60, size=200), 60)
    points = numbers[:, None] / 10 + random.normal(scale=0.5, size=(201, 1))
    points[-1] = 2.0  # as that of a 20-year-old
    values = np.searchsorted([30, 60], numbers, side="right")
    old = np.array([[6.0]])
    plain = bands_of(*lda(shrinkage=0)(points, [Target(values, 3)], EACH), old, 1)
    smoothed = bands_of(*lda(shrinkage=0)(points, [Target(values, 3, 4, numbers)], EACH), old, 4)
    assert smoothed[0, 2] > 3 * plain[0, 2]


def test_subclasses_take_bands_without_a_photo_and_numbers_far_apart():
    numbers = np.array([1, 1, 1, 1, 1, 1, 1, 1, 1, 1000])
    points = numbers[:, None] + np.random.default_rng(0).normal(size=(10, 3))
    target = Target((numbers > 500) * 2, 4, 3, numbers)
    weight, bias = lda(shrinkage=0.3, smoothing=0.01)(points, [target], EACH)
    assert weight.shape == (12, 3)
    assert bands_of(weight, bias, points, 3).argmax(1).tolist() == [0] * 9 + [2]
    same = np.full(10, 7)
    assert np.isfinite(lda(shrinkage=0.3)(points, [Target(same * 0, 3, 2, same)], EACH)[0]).all()


def some_photos(noise: int, groups: int, photos: int):
    """(features (N, 2 + noise), target, groups (N,)): photos of a group are all but the same."""
    random = np.random.default_rng(0)
    values, group = random.integers(2, size=groups), np.repeat(np.arange(groups), photos)
    own = random.normal(size=(groups, 2 + noise))
    own[:, 0] += 2 * values
    features = own[group] + random.normal(scale=0.01, size=(len(group), 2 + noise))
    return features.astype(np.float32), Target(values[group], 2), group


def test_shrinkage_is_chosen_on_groups_held_out():
    """With many features the covariance of few groups is noise; photos of a known group would hide that."""
    features, target, groups = some_photos(noise=60, groups=100, photos=3)
    assert chosen(features, target, splits_of(features, groups), 0, 0.4) >= 0.5
    assert chosen(features, target, splits_of(features, np.arange(len(groups))), 0, 0.4) <= 0.1


def test_each_factor_has_its_own_shrinkage(monkeypatch):
    features, target, groups = some_photos(noise=3, groups=40, photos=2)
    targets, own = [target, Target(groups % 3, 3)], {2: 0.7, 3: 0.1}
    monkeypatch.setattr(inits, "chosen", lambda features, target, *rest: own[target.size])
    weight, bias = lda_cv(balance=0.3, temperature=2)(features, targets, groups)
    for rows, one in ((slice(0, 2), targets[0]), (slice(2, 5), targets[1])):
        fixed = lda(shrinkage=own[one.size], balance=0.3, temperature=2)(features, [one], groups)
        assert np.allclose(weight[rows], fixed[0])
        assert np.allclose(bias[rows], fixed[1])


def test_the_scatter_of_residuals_follows_from_the_gram_matrix():
    """Values as they are, each photo a value of its own, and means along numbers."""
    random = np.random.default_rng(0)
    features, numbers = random.normal(3, 1, size=(60, 5)), random.integers(20, 60, size=60)
    bands = np.searchsorted([30, 50], numbers, side="right")
    for target in (Target(bands, 3), Target(np.arange(60), 60), Target(bands, 3, 4, numbers)):
        means = inits._means(features, target, 0.4)
        residuals = features - means.expected[means.kind]
        assert np.allclose(means.scatter(features.T @ features), residuals.T @ residuals)


def test_too_few_photos_for_a_covariance_that_is_not_shrunk_are_said():
    points = np.random.default_rng(0).normal(size=(4, 6))
    with pytest.raises(UsageError, match=r"6 features .* \(init.shrinkage=0.3\)"):
        lda(shrinkage=0)(points, [Target(np.array([0, 0, 1, 1]), 2)], EACH)


def test_one_group_has_an_estimated_shrinkage():
    features, target, groups = some_photos(noise=3, groups=8, photos=2)
    found = lda_cv()(features, [target], np.zeros_like(groups))
    assert all(map(np.allclose, found, lda()(features, [target], groups)))
