import numpy as np

from dataset.face_masks.labels import FACE_MASK, PHOTO_MASKS, age_band, encode


def test_every_label_survives_the_round_trip():
    labels = np.arange(18)
    indices = np.unravel_index(labels, FACE_MASK.sizes)
    assert (encode(*indices) == labels).all()
    assert (FACE_MASK.label(dict(zip(FACE_MASK.factors, indices, strict=True))) == labels).all()
    assert [encode(*map(int, one)) for one in zip(*indices, strict=True)] == list(range(18))


def test_labels_are_the_competitions():
    assert encode(0, 0, 0) == 0
    assert encode(1, 0, 2) == 8
    assert encode(2, 1, 2) == 17
    assert FACE_MASK.classes[0] == "wear male <30"
    assert FACE_MASK.classes[17] == "not worn female 60+"
    assert len(set(FACE_MASK.classes)) == FACE_MASK.n_classes == 18
    assert FACE_MASK.answers == tuple(map(str, range(18)))
    assert (FACE_MASK.is_rare(np.arange(18)) == (np.arange(18) % 3 == 2)).all()


def test_age_bands_begin_at_30_and_60():
    assert [age_band(age) for age in (18, 29, 30, 59, 60, 61)] == [0, 0, 1, 1, 2, 2]


def test_seven_photos_a_person():
    assert sorted(PHOTO_MASKS.values()) == [0, 0, 0, 0, 0, 1, 2]
