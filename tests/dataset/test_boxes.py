import numpy as np
import pytest

from dataset.boxes import around, center
from dataset.pixels import cut

FACE = [0.3, 0.4, 0.5, 0.6]  # top, left, bottom, right


def face(*box: float, ratio: float = 0.75) -> np.ndarray:
    return np.array([[*(box or FACE), ratio]], np.float32)


def test_the_middle_is_the_baselines_at_its_size():
    photo = np.arange(512 * 384).reshape(512, 384)
    crop = center(3, 0.625, 2 / 3)
    assert crop.boxes.shape == (3, 4)
    assert np.array_equal(cut(photo, crop.boxes[2]), photo[96:416, 64:320])


def test_a_box_keeps_at_least_a_pixel_and_never_leaves_the_photo():
    photo = np.arange(12).reshape(4, 3)
    for box, shape in (
        ((0, 0, 1, 1), (4, 3)),
        ((0.99, 0.99, 1, 1), (1, 1)),
        ((0.2, 0.2, 0.21, 0.21), (1, 1)),
    ):
        assert cut(photo, box).shape == shape


def test_the_margin_is_a_fraction_of_the_faces_own_sides_half_of_it_on_each():
    tall = face(0.4, 0.4, 0.6, 0.5, ratio=1)  # twice as high as wide, and so is the size: nothing is extended
    (box,) = around(tall, (200, 100), 1, 1, 1).boxes
    assert box == pytest.approx([0.3, 0.35, 0.7, 0.55])


@pytest.mark.parametrize("size", [(512, 384), (224, 224), (100, 300)])
def test_boxes_hold_the_face_in_the_shape_of_the_size_within_the_photo(size):
    random = np.random.default_rng(0)
    middle, half = random.uniform(0.1, 0.9, (500, 2)), random.uniform(0.02, 0.1, (500, 2))
    ratio = random.uniform(0.7, 1.4, 500)
    faces = np.column_stack([middle - half, middle + half, ratio])
    boxes = around(faces, size, 0.2, 0.5, 0.5).boxes
    top, left, bottom, right = boxes.T
    assert boxes.min() >= 0 and boxes.max() <= 1 + 1e-6
    assert (right - left) * ratio / (bottom - top) == pytest.approx(size[1] / size[0])
    fits = (bottom - top < 0.999) & (right - left < 0.999)
    assert fits.mean() > 0.5
    assert (boxes[fits, :2] <= faces[fits, :2] + 1e-6).all()
    assert (boxes[fits, 2:] >= faces[fits, 2:4] - 1e-6).all()


def test_a_face_at_the_edge_is_not_shrunk_but_off_the_middle():
    edge, middle = (around(face(top, 0.4, top + 0.2, 0.6), (40, 30), 0.5, 1, 1).boxes[0] for top in (0, 0.4))
    assert edge[0] == 0 and edge[2] == pytest.approx(middle[2] - middle[0])
    assert edge[2] - edge[0] == pytest.approx(0.3)


def test_a_face_too_large_for_the_shape_loses_of_its_margin_and_is_not_squashed():
    beyond = around(face(-0.5, -0.5, 1.5, 1.5), (40, 30), 0.5, 1, 1).boxes[0]
    assert beyond == pytest.approx([0, 0, 1, 1])
    square = around(face(0.2, 0.2, 0.9, 0.9), (224, 224), 0.5, 1, 1).boxes[0]
    assert square == pytest.approx([0.175, 0, 0.925, 1])  # as wide as the photo, and no higher than that


def test_without_a_face_it_is_the_middle_in_the_same_shape():
    lost = np.array([[np.nan] * 4 + [0.75], [*FACE, 0.75]], np.float32)
    boxes = around(lost, (512, 384), 0.3, 0.5, 0.5).boxes
    assert boxes[0] == pytest.approx([0.25, 0.25, 0.75, 0.75])
    assert boxes[1] == pytest.approx(around(face(), (512, 384), 0.3, 1, 1).boxes[0])
    square = around(lost[:1], (224, 224), 0.3, 0.5, 0.5).boxes[0]
    assert square == pytest.approx([0.25, 1 / 6, 0.75, 5 / 6])  # half the height, and as wide in pixels


def test_its_text_tells_crops_with_other_parameters_apart():
    params = [(0.3, 0.6, 0.6), (0.4, 0.6, 0.6), (0.3, 0.7, 0.6), (0.3, 0.6, 0.7)]
    texts = {around(face(), (40, 30), *each).text for each in params} | {center(1, 0.6, 0.6).text}
    assert len(texts) == 5
