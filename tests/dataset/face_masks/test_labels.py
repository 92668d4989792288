import numpy as np

from dataset.face_masks.labels import CLASS_NAMES, N_CLASSES, PHOTO_MASKS, age_band, decode, encode


def test_every_label_survives_the_round_trip():
    assert [encode(*decode(label)) for label in range(N_CLASSES)] == list(range(18))
    labels = np.arange(18)
    assert (encode(*decode(labels)) == labels).all()


def test_labels_are_the_competitions():
    assert encode(0, 0, 0) == 0
    assert encode(1, 0, 2) == 8
    assert encode(2, 1, 2) == 17
    assert CLASS_NAMES[0] == "wear male <30"
    assert CLASS_NAMES[17] == "not worn female 60+"
    assert len(set(CLASS_NAMES)) == 18


def test_age_bands_begin_at_30_and_60():
    assert [age_band(age) for age in (18, 29, 30, 59, 60, 61)] == [0, 0, 1, 1, 2, 2]


def test_seven_photos_a_person():
    assert sorted(PHOTO_MASKS.values()) == [0, 0, 0, 0, 0, 1, 2]
