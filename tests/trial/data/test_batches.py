import pytest
import torch

from common.errors import UsageError
from dataset.face_masks.labels import FACE_MASK
from dataset.read import read_train
from tests.conftest import TINY
from trial import recipe
from trial.config import parse
from trial.data import batches
from trial.data.batch_sampler import EpochBatchSampler

CONFIG = parse(TINY)


@pytest.fixture(scope="module")
def table(people):
    return read_train(people).table


def test_a_last_batch_of_one_photo_joins_the_one_before():
    sizes = [len(batch) for batch in EpochBatchSampler(65, 32, 0)]
    assert sizes == [32, 33]
    order = [row for batch in EpochBatchSampler(65, 32, 0) for _, row, _ in batch]
    assert sorted(order) == list(range(65))


def test_batches_are_prepared_ahead_of_a_device_that_is_not_the_cpu(table):
    """On the `meta` device, which computes nothing: the same batches in the same order, errors included."""
    preprocessing = recipe.build(CONFIG, FACE_MASK)[1]
    photos = batches.Photos(table, preprocessing)
    plain = [batch.rows for batch in batches.loader(photos, 16)]
    ahead = list(batches.on_device(batches.loader(photos, 16), torch.device("meta")))
    assert [list(batch.rows) for batch in ahead] == [list(rows) for rows in plain]
    assert ahead[0].photos.device.type == "meta"

    def broken():
        yield next(iter(batches.loader(photos, 16)))
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        list(batches.on_device(broken(), torch.device("meta")))


@pytest.mark.parametrize("workers", [0, 1])
def test_a_photo_that_broke_meanwhile_is_named_whoever_reads_it(table, tmp_path, workers):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no photo")
    few = table.head(8).reset_index(drop=True).assign(path=[*table["path"][:5], *[broken] * 3])
    photos = batches.Photos(
        few, recipe.build(CONFIG, FACE_MASK)[1], None, parse({**TINY, "augment": ["InvertImg"]}).augment
    )
    with pytest.raises(UsageError) as error:
        list(batches.on_device(batches.loader(photos, 4, workers), torch.device("cpu")))
    assert len(error.value.errors) == 1
    assert error.value.errors[0].startswith(str(broken))
