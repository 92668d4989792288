"""The same person on both sides: compared by features, and the command on drawn people."""

import shutil

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from analysis.__main__ import app
from analysis.audit.halves import shift_between, write_leakage
from analysis.audit.reading import read_halves
from analysis.trust import leakage
from analysis.trust.leakage import EVAL, PHOTO, People, people_of, same_people, threshold
from common.errors import UsageError
from dataset.face_masks.drawing.synthetic import draw
from dataset.face_masks.labels import GENDERS
from dataset.read import read_train
from dataset.split import fold_of
from tests.analysis.fake_run import untrained
from tests.conftest import call


def features(people, photos, seed=0):
    """(Features, groups) of people, whose photos differ much in a few directions that say nothing of them."""
    rng = np.random.default_rng(seed)
    row = np.arange(people).repeat(photos)
    own = rng.normal(size=(people, 40))[row]
    return own + 0.3 * rng.normal(size=own.shape) + 4 * rng.normal(size=(len(row), 3)) @ np.eye(3, 40), row


def test_the_threshold_is_reached_by_as_many_pairs_as_asked_for_though_some_are_the_same():
    values = np.random.default_rng(0).normal(0, 0.1, 1_000_000)
    assert threshold(values, 1e-5) == pytest.approx(0.1 * norm.isf(1e-5), rel=0.03)
    values[:30] = 0.99
    assert threshold(values, 1e-5) == pytest.approx(0.1 * norm.isf(1e-5), rel=0.03)
    assert threshold(values, 0.1) == pytest.approx(np.quantile(values, 0.9))
    assert threshold(np.array([0.1, 0.2, 0.3]), 0.01) <= 0.3


def test_people_under_two_names_and_photos_of_people_of_train_are_found():
    vectors, row = features(200, 6)
    names = np.array([f"p{n:03d}" for n in row])
    names[[6 * n + i for n in range(5) for i in range(3)]] = [f"x{n}" for n in range(5) for _ in range(3)]
    kept = np.ones(len(row), bool)
    kept[[6 * n + 5 for n in range(10, 20)]] = False
    others, _ = features(50, 1, seed=1)
    people = people_of(vectors[kept], names[kept], np.concatenate([others, vectors[~kept]]))
    found, limits = same_people(people)
    train, photos = found[found["where"] == "train"], found[found["where"] == EVAL]
    pairs = {
        (people.names[one], people.names[other])
        for one, other in zip(train["one"], train["other"], strict=True)
    }
    assert {(f"p{n:03d}", f"x{n}") for n in range(5)} <= pairs and len(pairs) <= 8
    known = {
        (one - 50, people.names[other]) for one, other in zip(photos["one"], photos["other"], strict=True)
    }
    assert len({(n, f"p{10 + n:03d}") for n in range(10)} & known) >= 9
    assert sum(one < 0 for one, _ in known) <= 3
    assert found["similarity"].is_monotonic_decreasing and set(limits) == {"train", EVAL}


def test_few_different_people_are_alike():
    alike = []
    for seed in range(5):
        vectors, row = features(150, 4, seed)
        found, _ = same_people(people_of(vectors, row.astype(str), features(300, 1, seed + 50)[0]))
        train, photos = found[found["where"] == "train"], found[found["where"] == EVAL]
        alike.append((len({*train["one"], *train["other"]}) / 150, photos["one"].nunique() / 300))
    assert (np.mean(alike, 0) <= 0.025).all()


def test_groups_of_one_photo_and_no_photos_to_predict_are_compared_too():
    vectors, row = features(60, 1)
    vectors[1] = vectors[0]
    people = people_of(vectors, row.astype(str), np.empty((0, 40)))
    assert isinstance(people, People) and people.photos.shape[0] == 0
    found, limits = same_people(people)
    assert found[["one", "other"]].values.tolist()[0] == [0, 1] and set(limits) == {"train"}


@pytest.fixture(scope="module")
def leaky(tmp_path_factory):
    """Drawn people, one of them under two ids, and three of the photos to predict copies of photos of train."""
    data = draw(tmp_path_factory.mktemp("leaky") / "set", people=30, height=64, width=48)
    images = data / "train" / "images"
    folders = sorted(images.iterdir())
    for photo in folders[3].iterdir():
        (folders[4] / photo.name).write_bytes(photo.read_bytes())
    for photo, one in zip(sorted((data / "eval" / "images").iterdir()), folders[10:13], strict=False):
        photo.write_bytes((one / "normal.jpg").read_bytes())
    return data


@pytest.mark.slow
def test_the_command_names_both_sides(leaky, tmp_path):
    run = tmp_path / "run"
    untrained(run, values={"data": str(leaky)})
    result = call(app, "leakage", leaky, "--run", run, "--out", tmp_path / "out")
    assert result.exit_code == 0 and "nearly the same photos: 1 pairs of people in train" in result.stdout
    found = pd.read_csv(tmp_path / "out" / "leakage.csv", dtype={"one": str, "other": str})
    groups = sorted(set(read_train(leaky).table["group"]))
    photos = found[found["kind"] == PHOTO]
    inside = photos[photos["where"] != EVAL].iloc[0]
    table = read_train(leaky).table
    folders = table["photo"].str.partition("/")[0]
    ids = [table["group"][folders == name].iloc[0] for name in sorted(set(folders))]
    assert (inside["one"], inside["other"]) == tuple(sorted((ids[3], ids[4]))) and inside["where"].startswith(
        "fold"
    )
    assert set(ids[10:13]) <= set(photos["other"][photos["where"] == EVAL]) <= set(groups)
    assert (tmp_path / "out" / "leakage.html").read_text().count("<article") == len(found)
    with pytest.raises(UsageError, match="out already exists"):
        write_leakage(leaky, tmp_path / "out", run)


@pytest.mark.slow
def test_the_folds_are_those_of_the_run_whose_labels_were_corrected(people, tmp_path, monkeypatch):
    """Other labels deal other folds."""
    first = read_train(people).table.iloc[0]
    recorded, corrected = GENDERS[first["gender"]], GENDERS[1 - first["gender"]]
    rows = ["id,field,recorded,corrected", f"{first['group']},gender,{recorded},{corrected}"]
    (tmp_path / "labels.csv").write_text("\n".join(rows) + "\n")
    values = {"data": str(people), "corrections": str(tmp_path / "labels.csv")}
    untrained(tmp_path / "run", values=values)
    dealt = []
    monkeypatch.setattr(leakage, "fold_of", lambda table, *how: dealt.append(table) or fold_of(table, *how))
    write_leakage(people, tmp_path / "out", tmp_path / "run")
    (table,) = dealt
    assert (table["label"] != read_train(people).table["label"]).sum() == 7
    assert (table["label"] == read_train(people, values["corrections"]).table["label"]).all()


def test_what_is_not_right_is_refused_with_the_file_and_the_difference(people, tmp_path):
    def refused(work, *given):
        with pytest.raises(UsageError) as error:
            work(*given)
        return "\n".join(error.value.errors)

    data = shutil.copytree(people, tmp_path / "set")
    lost = sorted((data / "eval" / "images").iterdir())[0]
    lost.unlink()
    assert f"missing photo {lost}: info.csv lists it" in refused(write_leakage, data, tmp_path / "out")
    assert f"missing photo {lost}: info.csv lists it" in refused(shift_between, data)
    run = tmp_path / "run"
    untrained(run, values={"data": str(people)})
    (run / "weights.safetensors").write_bytes(b"half")
    assert "weights.safetensors: not the weights of" in refused(write_leakage, people, tmp_path / "out", run)
    (run / "config.json").write_text("{")
    assert "config.json: is damaged" in refused(shift_between, people, run)
    assert "none/config.json: does not exist" in refused(shift_between, people, tmp_path / "none")
    table = read_train(people).table
    one = tmp_path / "one"
    for name in ("a", "b"):
        for number, path in enumerate(table["path"][table["group"] == table["group"].iloc[0]][:3]):
            (one / "train" / name).mkdir(parents=True, exist_ok=True)
            shutil.copy(path, one / "train" / name / f"p_{name}{number}.jpg")
    assert "gives all photos the same group" in refused(read_halves, one, None, "train/[ab]/(p)")
    assert not (tmp_path / "out").exists()
    assert call(app, "leakage", data, "--out", tmp_path / "out").exit_code == 2
