import json

import pytest

from benchmarks import second_network
from tests.conftest import TINY


@pytest.fixture
def frozen(tmp_path):
    path = tmp_path / "recipe.json"
    head = {"head": "auto", "init": "lda", "features": "cached", "learning_rate": 0, "epochs": 1}
    path.write_text(json.dumps({"recipe": {**TINY, **head, "schedule": "constant"}}))
    return path


@pytest.mark.slow
def test_pseudo_labels_and_a_teacher_are_compared_with_a_training_without(
    people, frozen, capsys, monkeypatch
):
    monkeypatch.setattr(second_network, "COMPONENTS", 8)
    monkeypatch.setitem(second_network.TRAINED, "epochs", 1)
    second_network.main([str(frozen), str(people), "--seeds", "2"])
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("labels of 3 folds known, 1 predicted") and len(said) == 2 * 8
    assert [line.split()[0] for line in said[1:8]] == ["true", *["group"] * 3, *["photo"] * 3]
    second_network.main([str(frozen), str(people), "--seeds", "1", "--teacher", str(frozen)])
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 7 and said[2].startswith("labels alone") and "+0.0000" in said[2]
