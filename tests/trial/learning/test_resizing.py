import pytest
import torch

from common.errors import UsageError
from dataset.read import read_train
from tests.conftest import TINY
from tests.trial.training import held_out, training_of
from trial.config import parse
from trial.fit import fit
from trial.learning.resizing import progressive, resized

torch.set_num_threads(1)  # tests run side by side
GROWING = {"_name": "progressive", "start": 0.5, "until": 0.5}
CONFIG = {**TINY, "model": "test_resnet", "image_size": "64x48", "epochs": 4, "resizing": GROWING}


def test_sides_grow_evenly_until_they_are_whole():
    size_of = progressive((128, 96), 8, start=0.5, until=0.5)
    assert [size_of(epoch) for epoch in range(1, 9)] == [
        (64, 48), (80, 60), (96, 72), (112, 84), *[(128, 96)] * 4,
    ]  # fmt: skip
    assert progressive((100, 30), 2, until=0.0)(1) == (100, 30)
    assert progressive((100, 1), 2, start=0.2)(1) == (20, 1)


@pytest.mark.parametrize("size", [(128, 96), (101, 67), (48, 200)])
def test_nothing_is_squeezed(size):
    for epoch in range(1, 12):
        height, width = progressive(size, 12, start=0.3)(epoch)
        assert height / size[0] == pytest.approx(width / size[1], abs=0.5 / size[0] + 0.5 / size[1])


def test_resized_photos_show_the_same():
    images = torch.linspace(0, 1, 64).expand(1, 3, 64, 64)
    smaller = resized(images, (32, 16))
    assert smaller.shape == (1, 3, 32, 16)
    assert torch.allclose(
        smaller[0, 0, 0, 1:-1], torch.linspace(0, 1, 64).view(16, 4).mean(1)[1:-1], atol=0.01
    )
    assert resized(images, (64, 64)) is images


@pytest.mark.slow
def test_the_network_is_trained_on_growing_photos_and_validated_on_whole_ones(people):
    table = read_train(people).table
    training = training_of(parse(CONFIG), table)
    trained, validated = [], []
    training.network.register_forward_pre_hook(
        lambda network, inputs: (trained if network.training else validated).append(
            tuple(inputs[0].shape[2:])
        )
    )
    steps = len(training.train)
    epochs = list(fit(training, held_out(training, table)))
    assert [trained[epoch * steps] for epoch in range(4)] == [(32, 24), (48, 36), (64, 48), (64, 48)]
    assert set(validated) == {(64, 48)}
    assert epochs[-1].train_loss < epochs[0].train_loss


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"model": "vit_tiny_patch16_224"}, "resizing=progressive: vit_tiny_patch16_224 takes photos of one"),
        ({"model": "test_resnet+vit_tiny_patch16_224"}, "vit_tiny_patch16_224 takes photos of one size only"),
        (
            {"model": "vgg11", "resizing": {"_name": "progressive", "start": 0.3}},
            "photos are 19x14 in the first epoch, vgg11 needs at least 32",
        ),
        ({"features": "cached"}, "resizing=progressive: can't be used with features=cached"),
        ({"resizing": {"_name": "progressive", "start": 2}}, "resizing.start"),
        ({"compile": True}, "compile=true: resizing=progressive"),
        ({"compile": "graphs"}, "would compile for each size; leave one out"),
    ],
)
def test_photos_that_a_network_can_not_take_are_refused(values, words):
    with pytest.raises(UsageError) as raised:
        parse({**CONFIG, **values})
    assert words in str(raised.value)
