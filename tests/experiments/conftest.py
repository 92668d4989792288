from pathlib import Path

import pytest
import yaml

from common.errors import UsageError
from experiments import check as checking

PROJECT = Path(__file__).resolve().parents[2]
GOOD = f"""
experimentName: mine
experimentWorkingDirectory: runs
searchSpaceFile: space.json
trialCodeDirectory: {PROJECT}
trialCommand: >-
  python -m trial data=input model=test_resnet.r160_in1k weights=none image_size=32x32
  epochs=2 batch_size=32 threads=1
trialConcurrency: 2
maxTrialNumber: 2
tuner: {{className: tuners.search.Search, codeDirectory: {PROJECT}, classArgs: {{seed: 1}}}}
trainingService: {{platform: local}}
"""
SPACE = '{"learning_rate": {"_type": "loguniform", "_value": [0.001, 0.01]}}'


class Mine:
    """An experiment in `folder`: mine.yaml and space.json."""

    def __init__(self, folder: Path):
        self.folder, self.yaml, self.space = folder, folder / "mine.yaml", folder / "space.json"
        self.yaml.write_text(GOOD)
        self.space.write_text(SPACE)

    def change(self, old: str, new: str) -> Path:
        text = self.yaml.read_text()
        assert old in text
        self.yaml.write_text(text.replace(old, new))
        return self.yaml


@pytest.fixture
def mine(tmp_path):
    return Mine(tmp_path)


@pytest.fixture
def fast(monkeypatch):
    """Skip the check of the photos."""
    monkeypatch.setattr(checking, "data_errors", lambda plan: [])


def errors(*arguments, **named):
    with pytest.raises(UsageError) as caught:
        checking.check(*arguments, **named)
    return caught.value.errors


def give(mine, **keys):
    """The path of `mine`'s YAML after these keys were set; None removes a key."""
    config = yaml.safe_load(mine.yaml.read_text())
    config.update(keys)
    kept = {key: value for key, value in config.items() if value is not None}
    mine.yaml.write_text(yaml.safe_dump(kept, allow_unicode=True))
    return mine.yaml
