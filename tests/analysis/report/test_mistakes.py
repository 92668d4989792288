"""The worst mistakes, with their pictures."""

import numpy as np
import pandas as pd

from analysis.report.mistakes import OF_A_GROUP, photos_of, worst_mistakes
from dataset.face_masks.labels import FACE_MASK
from dataset.read import read_train
from tests.analysis.fake_run import untrained
from trial.run_folder.predictions import probability_columns


def answers(photos: pd.DataFrame) -> pd.DataFrame:
    """Every photo taken for the next class, the surer the later it comes; the first one is right."""
    sure = np.linspace(0.5, 0.99, len(photos))
    table = np.repeat(((1 - sure) / 17)[:, None], 18, 1)
    wrong = (photos["label"].to_numpy() + 1) % 18
    wrong[0] = photos["label"].iloc[0]
    table[np.arange(len(photos)), wrong] = sure
    named = pd.DataFrame(table, columns=probability_columns(18), index=photos.index)
    return photos[["photo", "group", "label"]].join(named).assign(fold=0)


def test_the_surest_mistakes_come_first_with_few_of_a_person(people):
    photos = read_train(people).table
    found = worst_mistakes(answers(photos), FACE_MASK, photos[["photo", "path"]], limit=10)
    assert len(found) == 10
    chances = [one["probability"] for one in found]
    assert chances == sorted(chances, reverse=True) and chances[0] == 0.99
    last = photos.iloc[-1]
    assert found[0]["photo"] == last["photo"]
    assert found[0]["true"] == FACE_MASK.classes[last["label"]]
    assert found[0]["predicted"] == FACE_MASK.classes[(last["label"] + 1) % 18]
    assert found[0]["url"].startswith("data:image/jpeg;base64,")
    whose = pd.Series([one["photo"].split("/")[0] for one in found])
    assert whose.value_counts().max() == OF_A_GROUP


def test_what_is_right_or_not_here_is_left_out(people, tmp_path):
    photos = read_train(people).table
    assert worst_mistakes(answers(photos).head(1), FACE_MASK, photos[["photo", "path"]]) == []
    gone = photos[["photo"]].assign(path="/nowhere.jpg")
    assert worst_mistakes(answers(photos), FACE_MASK, gone, limit=3) == []
    here = photos_of(untrained(tmp_path / "a", values={"data": str(people)}))
    assert set(here["photo"]) == set(photos["photo"])
    assert (
        photos_of(untrained(tmp_path / "b", values={"data": str(people)}).__class__(tmp_path / "none"))
        is None
    )
