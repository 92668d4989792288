from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import norm

from common.errors import UsageError
from dataset.face_masks.borders import BORDERS
from dataset.face_masks.labels import FACE_MASK
from dataset.read import read_train
from tests.conftest import TINY
from tests.trial.training import training_of
from trial import recipe
from trial.config import parse
from trial.data import batches
from trial.data.sampling import COPIES, COPY, SAMPLERS
from trial.models.heads import input_shape, last_layer
from trial.process.compute import decide

LABELS = np.repeat([0, 1, 2], [80, 15, 5])


def drawn(config, table, epochs=1):
    """(photos, labels) of all batches of some epochs."""
    train = training_of(config, table).train
    seen = [batch for _ in range(epochs) for batch in train]
    return torch.cat([b.photos for b in seen]), torch.cat([b.labels for b in seen])


def counts_of(config, table):
    """The class counts of an epoch, as a weighted loss gets them."""
    photos = config.copies.build(COPIES, FACE_MASK)(table)
    weigh = config.sampler.build(SAMPLERS)
    return batches.training(batches.Photos(photos, recipe.build(config, FACE_MASK)[1]), 32, 0, weigh, 18)[1]


@pytest.fixture(scope="module")
def table(people):
    return read_train(people).table


def test_class_balanced_draws_each_class_as_often_as_its_power_says():
    for power, expected in ((1.0, [1 / 3] * 3), (0.0, [0.8, 0.15, 0.05])):
        chances = SAMPLERS["class_balanced"](power=power)(LABELS)
        assert np.bincount(LABELS, weights=chances) == pytest.approx(expected)
    half = np.bincount(LABELS, weights=SAMPLERS["class_balanced"](power=0.5)(LABELS))
    assert half == pytest.approx(np.sqrt([80, 15, 5]) / np.sqrt([80, 15, 5]).sum())


@pytest.mark.slow
def test_a_class_balanced_epoch_has_as_many_photos_and_other_ones_each_time(table):
    config = parse({**TINY, "sampler": "class_balanced"})
    _, labels = drawn(config, table, epochs=20)
    counts = counts_of(config, table)
    assert len(labels) == 20 * len(table)
    assert counts.sum() == pytest.approx(len(table))
    assert counts[counts > 0] == pytest.approx(len(table) / np.count_nonzero(counts))
    fractions = np.bincount(labels, minlength=18)[counts > 0] / len(labels)
    assert fractions == pytest.approx(np.full(len(fractions), 1 / len(fractions)), abs=0.02)
    assert torch.equal(labels, drawn(config, table, epochs=20)[1])  # the same for a seed


def test_a_photo_drawn_twice_in_an_epoch_is_augmented_twice(table):
    blurred = {"_name": "GaussNoise", "std_range": [0.2, 0.2], "p": 1.0}
    config = parse({**TINY, "sampler": "class_balanced", "augment": [blurred]})
    photos, _ = drawn(config, table)
    assert len(photos.flatten(1).unique(dim=0)) == len(photos) == len(table)


def test_ages_next_to_the_borders_are_left_out(table):
    ages = table.assign(age=np.resize(np.arange(18, 62), len(table)))
    kept = set(BORDERS["drop"](before_30=3, before_60=3).change(ages)["age"])
    assert set(ages["age"]) - kept == {27, 28, 29, 57, 58, 59}
    assert len(BORDERS["drop"](before_30=0, before_60=0).change(ages)) == len(ages)


def test_ages_from_58_on_are_counted_as_60(table):
    ages = np.resize(np.arange(18, 62), len(table))
    bands = pd.Series(ages).map(lambda age: (age >= 30) + (age >= 60)).to_numpy()
    labels = table["mask"] * 6 + table["gender"] * 3 + bands
    aged = table.assign(age=ages, age_band=bands, label=labels)
    after = BORDERS["relabel"](from_age=58).change(aged)
    moved = after["label"] != aged["label"]
    assert set(aged.loc[moved, "age"]) == {58, 59}
    assert (after.loc[moved, "label"] == aged.loc[moved, "label"] + 1).all()
    assert (after["label"] % 3 == after["age_band"]).all()


SOFT = {"_name": "soft", "sd": 3}


def targets_of(config, table, epochs, features=None):
    """(epochs, rows): the targets that the loss gets for each row of `table`, copies after it."""
    torch.manual_seed(0)
    network, preprocessing = recipe.build(config, FACE_MASK)
    compute = decide(network, threads=1)
    start = recipe.Start(FACE_MASK, table, network, preprocessing, compute, None, "", features)
    training = recipe.training(config, start, network, table)
    found = []
    for _ in range(epochs):
        rows, targets = [], []
        for index, batch in enumerate(training.train):
            _, _, own = training.forward(training.network, batch, index)
            rows.append(batch.rows)
            targets.append(own if own.dim() == 1 else own.argmax(1))
        found.append(torch.cat(targets).numpy()[np.argsort(np.concatenate(rows))])
    return np.stack(found)


def test_soft_borders_give_people_near_them_either_band(table):
    """As often as a normal error of 3 years brings their age over the border; mask and gender stay."""
    people = table[["group"]].assign(mask=1, gender=1, age=np.resize([20, 29, 30, 58, 60], len(table)))
    people = pd.concat([people] * 20).assign(group=np.arange(20 * len(people)))
    labels = BORDERS["soft"](sd=3).drawn(people)
    rows = np.arange(len(people))
    epochs = np.stack([labels(np.random.default_rng(epoch), rows) for epoch in range(10)])
    assert set(np.unique(epochs)) == {9, 10, 11}
    bands = epochs - 9
    over = {age: (bands[:, people["age"] == age] > (age > 45)).mean() for age in (20, 29, 30, 58, 60)}
    expected = {
        20: 0.001,
        29: norm.sf(0.5 / 3),
        30: norm.cdf(0.5 / 3),
        58: norm.sf(1.5 / 3),
        60: norm.cdf(0.5 / 3),
    }
    assert over == pytest.approx(expected, abs=0.02)
    assert (
        BORDERS["soft"](sd=0).drawn(people)(np.random.default_rng(0), rows)
        == 9 + np.select([people["age"] < 30, people["age"] < 60], [0, 1], 2)
    ).all()


@pytest.mark.slow
def test_soft_borders_draw_for_a_person_by_seed_and_epoch(table):
    aged = table.assign(age=np.where(table["age"] < 40, 29, 60))
    config = parse({**TINY, "batch_size": 16, "borders": SOFT, "copies": "baseline"})
    epochs = targets_of(config, aged, 3)
    photos = COPIES["baseline"](FACE_MASK)(aged)
    for labels in epochs:
        assert (labels // 3 == photos["label"] // 3).all()
        assert (photos.assign(band=labels % 3).groupby("group")["band"].nunique() == 1).all()
    assert (epochs[0] != epochs[1]).any() and (epochs[1] != epochs[2]).any()
    assert np.array_equal(targets_of(config, aged, 2), epochs[:2])
    assert not np.array_equal(targets_of(replace(config, seed=1), aged, 1), epochs[:1])
    other = {"batch_size": 7, "mixing": {"_name": "mixup", "p": 0}}
    same = targets_of(parse({**TINY, **other, "borders": SOFT}), aged, 2)
    assert np.array_equal(same, epochs[:2, : len(aged)]), "whatever the batches, mixing and copies"


def test_soft_borders_go_with_cached_features(table):
    aged = table.assign(age=np.where(table["age"] < 40, 29, 60))
    config = parse({**TINY, "borders": SOFT, "features": "cached"})
    width = input_shape(last_layer(recipe.build(config, FACE_MASK)[0])).numel()
    features = np.zeros((len(table), 2, width), np.float32)
    of_photos = targets_of(replace(config, features=parse(TINY).features), aged, 2)
    assert np.array_equal(targets_of(config, aged, 2, features), of_photos)


def test_validation_keeps_its_ages_whatever_training_leaves_out(table, tmp_path, people):
    from trial.run import run
    from trial.run_folder.record import RunFolder, RunWriter

    config = parse({**TINY, "epochs": 1, "data": str(people), "borders": {"_name": "drop", "before_60": 30}})
    run(config, RunWriter(tmp_path / "run", config), lambda report: None)
    answered = RunFolder(tmp_path / "run").validation()
    truth = table.set_index("photo")["label"]
    assert (truth[answered["photo"]].to_numpy() == answered["label"]).all()
    middle = {1, 4, 7, 10, 13, 16}
    assert middle & set(answered["label"])  # none of 30 to 59 was learnt from, all are asked for
    assert not middle & set(drawn(config, table)[1].tolist())


def test_borders_that_leave_nothing_are_refused(table):
    young = table[table["age"] < 30]
    config = parse({**TINY, "borders": {"_name": "drop", "before_30": 30}})
    with pytest.raises(UsageError, match="leaves no photo"):
        drawn(config, young)


def test_copies_are_two_more_sets_of_the_oldest(table):
    config = parse({**TINY, "copies": "baseline"})
    _, labels = drawn(config, table)
    counts = counts_of(config, table)
    before = np.bincount(table["label"], minlength=18)
    oldest = np.arange(18) % 3 == 2
    assert np.array_equal(counts, np.where(oldest, 3 * before, before))
    assert len(labels) == counts.sum()
    assert len(COPIES["baseline"](FACE_MASK, sets=1)(table)) == len(table) + before[oldest].sum()


def test_copies_are_changed_as_their_set_says_and_the_photos_are_not(table):
    config = parse({**TINY, "copies": "baseline", "image_size": "48x40"})
    grown = COPIES["baseline"](FACE_MASK)(table)
    _, preprocessing = recipe.build(config, FACE_MASK)
    photos = batches.Photos(grown, preprocessing, None, None, 0)
    plain = batches.Photos(table, preprocessing)
    rows = np.arange(len(grown))
    changed = photos.__getitems__([(1, int(row), 0) for row in rows]).photos
    again = photos.__getitems__([(1, int(row), 0) for row in rows]).photos
    other = photos.__getitems__([(2, int(row), 0) for row in rows]).photos
    sources = plain.__getitems__([(1, int(table.index.get_loc(i)), 0) for i in grown.index]).photos
    assert torch.equal(changed, again)
    differs = (changed.float() - sources.float()).abs().mean((1, 2, 3))
    sets = grown[COPY].to_numpy()
    assert (differs[sets == 0] == 0).all()
    assert (differs[sets > 0] > 0).all()
    assert not torch.equal(changed[sets > 0], other[sets > 0])  # made anew each epoch
    twice = photos.__getitems__([(1, int(row), 1) for row in rows]).photos
    assert not torch.equal(changed[sets > 0], twice[sets > 0])  # and each time that a sampler draws them
