from pathlib import Path

import pytest

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
tuner: {{className: tuners.default_first.DefaultFirstTPE, codeDirectory: {PROJECT}, classArgs: {{seed: 1}}}}
trainingService: {{platform: local}}
"""
SPACE = '{"learning_rate": {"_type": "loguniform", "_value": [0.001, 0.01]}}'


class Mine:
    """An experiment of one's own in `folder`."""

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
