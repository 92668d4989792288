import pytest

from benchmarks import ablation
from common.errors import UsageError
from tests.conftest import TINY
from trial.config import parse
from trial.run_folder.record import RunWriter


def test_a_folder_of_other_trials_is_refused_and_left_alone(people, tmp_path):
    folder = ablation.folder_of(tmp_path, "base", 0)
    RunWriter(folder, parse({**TINY, "data": str(people)}))
    with pytest.raises(UsageError, match="of another recipe or other photos; move it away"):
        ablation.run_all(people, tmp_path, ["base"], pairs=1)
    assert (folder / "config.json").exists()


def test_photos_with_errors_are_refused_before_anything_is_trained(tmp_path):
    with pytest.raises(UsageError, match="nowhere"):
        ablation.run_all(tmp_path / "nowhere", tmp_path, ["base"], pairs=1)
    assert list(tmp_path.iterdir()) == []
