import numpy as np
import pandas as pd
import pytest

from common.errors import UsageError
from common.files import sha256_of
from dataset.face_masks.labels import FACE_MASK
from dataset.read import read_eval, read_train
from tests.conftest import TINY
from trial import recipe
from trial.config import parse
from trial.data import pseudo_labels
from trial.data.pseudo_labels import held_out_words, read, refuse_known, write
from trial.run import run
from trial.run_folder.record import RunFolder, RunWriter

FOLD = held_out_words(parse(TINY).recipe())


@pytest.fixture(scope="module")
def photos(people) -> pd.DataFrame:
    """Those to predict."""
    return read_eval(people)


def written(tmp_path, photos, held_out=FOLD):
    """The first 14 photos to predict, with the classes 4 to 17."""
    return write(tmp_path / "labels.csv", photos["photo"][:14], np.arange(4, 18), FACE_MASK, held_out)


def test_labels_come_back_with_their_factors_in_the_photos_order(photos, tmp_path):
    path = written(tmp_path, photos)
    found = read(path, photos[::-1].set_axis(np.arange(100, 100 + len(photos))), FACE_MASK)
    assert found["photo"].tolist() == photos["photo"][:14].tolist()[::-1]
    assert found["label"].tolist() == list(range(17, 3, -1)) and found.index.tolist() == [
        *range(100 + len(photos) - 14, 100 + len(photos))
    ]
    assert (FACE_MASK.label(found) == found["label"]).all()


def test_a_name_that_looks_like_a_formula_comes_back(tmp_path):
    photos = pd.DataFrame({"photo": ["=a.png"], "path": ["/p/=a.png"]})
    path = write(tmp_path / "x.csv", photos["photo"], np.array([3]), FACE_MASK, "")
    assert read(path, photos, FACE_MASK)["label"].tolist() == [3]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: "", "an empty file"),
        (lambda text: "photo,class,held_out\n", "has no rows"),
        (lambda text: text.replace("class", "label", 1), "no column 'class'"),
        (lambda text: text.replace(FACE_MASK.classes[4], "masked"), "line 2: unknown class 'masked'"),
        (lambda text: text + text.splitlines()[1] + "\n", "line 16: a photo that has a class already"),
        (lambda text: text + f"b.jpg,{FACE_MASK.classes[0]},\n", "1 of 15 photos are not among those to"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(photos, tmp_path, change, words):
    path = written(tmp_path, photos)
    path.write_text(change(path.read_text()))
    with pytest.raises(UsageError) as error:
        read(path, photos, FACE_MASK)
    assert words in str(error.value)


@pytest.mark.parametrize("features", ["none", "cached"])
def test_they_are_trained_on_and_validation_stays_what_it_was(
    people, photos, tmp_path, monkeypatch, features
):
    seen, start_with = [], recipe.training

    def noted(config, start, network, train, state=None):
        training = start_with(config, start, network, train, state)
        seen.append(training.train.dataset)
        return training

    monkeypatch.setattr(recipe, "training", noted)
    values = {**TINY, "data": str(people), "epochs": 1, "features": features}
    for name, labels in (("a", ""), ("b", str(written(tmp_path, photos)))):
        config = parse({**values, "pseudo_labels": labels})
        writer = RunWriter(tmp_path / name, config)
        run(config, writer, lambda report: None)
        writer.end("done")
    without, with_labels = (RunFolder(tmp_path / name) for name in "ab")
    a, b = without.validation(), with_labels.validation()
    assert a[["photo", "label"]].equals(b[["photo", "label"]])
    assert not np.allclose(a["p00"], b["p00"])
    assert len(seen[1]) == len(seen[0]) + 14 and seen[1].labels[-14:].tolist() == list(range(4, 18))
    assert seen[1].rows[-14:].tolist() == [*range(len(read_train(people).table), 14 + 210)]
    assert with_labels.origin()["pseudo_labels"] == 14
    assert with_labels.class_counts() == without.class_counts()


def test_the_pixels_are_those_of_the_photos_to_predict(people, photos, tmp_path):
    class Nowhere(RunWriter):
        def __init__(self):
            pass

        def origin(self, *values):
            pass

        task = preprocessing = origin

    config = parse({**TINY, "data": str(people), "pseudo_labels": str(written(tmp_path, photos))})
    start = recipe.start(config, Nowhere())
    assert start.pseudo is not None
    paths = [start.pixels.paths[row] for row in start.pseudo.index]
    assert paths == photos["path"][:14].tolist() == start.pseudo["path"].tolist()


def test_labels_by_a_network_that_knows_the_validation_groups_are_refused(people, photos, tmp_path):
    path = written(tmp_path, photos)
    base = {**TINY, "data": str(people), "pseudo_labels": str(path)}
    refuse_known(path, parse(base).recipe())
    for values, words in (
        ({"fold": 1}, "held out fold 0 of 5 by seed 0, this run validates on fold 1 of 5 by seed 0"),
        ({"seed": 1}, "seed=1"),
        ({"group": "x"}, "validates on fold 0 of 5 by seed 0, group=x: its score"),
        ({"fold": "all"}, "give one fold"),
    ):
        with pytest.raises(UsageError, match=words):
            refuse_known(path, parse({**base, **values}).recipe())
    everyone = written(tmp_path, photos, "")
    config = parse(base)
    with pytest.raises(UsageError, match=r"held no group out.*or retrain"):
        run(config, RunWriter(tmp_path / "run", config), lambda report: None)
    assert pseudo_labels.read(everyone, photos, FACE_MASK)["label"].tolist() == list(range(4, 18))


def test_labels_by_a_network_of_other_corrections_are_refused(tmp_path, photos):
    """A file of that name had another content: other labels deal other folds."""
    file = tmp_path / "x.csv"
    file.write_text("first")
    values = parse({**TINY, "corrections": str(file)}, present=False).recipe()
    path = written(tmp_path, photos, held_out_words(values, sha256_of(file)))
    refuse_known(path, values)
    file.write_text("second")
    with pytest.raises(
        UsageError, match=r"x.csv \(a7937b64b8ca\), this run .*x.csv \(16367aacb67a\): its score"
    ):
        refuse_known(path, values)
    refuse_known(written(tmp_path, photos, held_out_words(values)), values)  # of earlier versions


def test_what_can_not_be_done_is_refused_at_once():
    head = {"_name": "factors", "subclasses": 2}
    with pytest.raises(UsageError) as error:
        parse({**TINY, "pseudo_labels": "nowhere.csv", "borders": "soft", "head": head})
    assert len(error.value.errors) == 3
    assert "head.subclasses=2: needs numbers" in str(error.value)
    assert "pseudo-labels writes one" in str(error.value) and "borders=soft" in str(error.value)
