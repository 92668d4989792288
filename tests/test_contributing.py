"""The examples of CONTRIBUTING.md, done."""

import copy
import json
import re

import cv2
import numpy as np
import pytest
from timm.models import _registry

from common.errors import UsageError
from common.machine import PROJECT
from dataset import read
from experiments.check import check
from tests.conftest import TINY
from trial.catalogue import Network, networks
from trial.commands.arguments import parse_arguments
from trial.config import parse
from trial.learning import losses
from trial.models import other_networks
from trial.run import run
from trial.run_folder.record import RunFolder, RunWriter

TEXT = (PROJECT / "CONTRIBUTING.md").read_text()


def section(title: str) -> str:
    (text,) = re.findall(rf"^## {title}\n(.*?)(?=^## )", TEXT, re.M | re.S)
    return text


def block(title: str, language: str) -> str:
    """The one block of code in that language of a section."""
    (code,) = re.findall(rf"```{language}\n(.*?)```", section(title), re.S)
    return code


def train(title: str, people, folder, **values) -> RunFolder:
    """A tiny trial of the section's `python -m trial` line, with these `values`."""
    (line,) = re.findall(r"^    python -m trial (.*)$", section(title), re.M)
    given = parse_arguments(line.split())
    config = parse({**TINY, **given, "data": str(people), "epochs": 1, **values})
    writer = RunWriter(folder / "run", config)
    run(config, writer, lambda report: None)
    writer.end("done")
    return RunFolder(writer.folder)


def test_a_loss_is_added(people, tmp_path, monkeypatch):
    monkeypatch.setitem(losses.LOSSES, "tempered", None)  # which removes it in the end
    exec(block("Add a loss", "python"), dict(vars(losses)))
    trained = train("Add a loss", people, tmp_path)
    assert trained.config().to_json()["loss"] == {"_name": "tempered", "temperature": 1.5}
    assert trained.status()["state"] == "done"


def test_a_network_is_added(people, tmp_path, monkeypatch):
    line = block("Add a network", "json")
    ((name, (fixed, multiple, min_side, tags)),) = json.loads("{" + line + "}").items()
    monkeypatch.setitem(networks(), name, Network(fixed, multiple, min_side, tuple(tags)))
    for what, known in list(vars(_registry).items()):  # timm's, as they were before, in the end
        if isinstance(known, dict | set) and not what.startswith("__"):
            monkeypatch.setattr(_registry, what, copy.deepcopy(known))
    exec(block("Add a network", "python"), dict(vars(other_networks)))
    trained = train("Add a network", people, tmp_path)
    assert trained.config().model == name
    assert trained.status()["state"] == "done"


def draw_photos(folder, names):
    folder.mkdir(parents=True)
    for number, name in enumerate(names):
        cv2.imwrite(str(folder / name), np.full((32, 32, 3), 40 * (number % 5), np.uint8))


def test_a_task_is_added_by_a_photos_csv(tmp_path):
    header, *lines = block("Add a task", "csv").splitlines()
    more = [
        line.replace("0001", "0003").replace("0002", "0004").replace("plant 1", "plant 2") for line in lines
    ]
    (tmp_path / "photos.csv").write_text("\n".join([header, *lines, *more]) + "\n")
    draw_photos(tmp_path / "photos", [f"000{number}.jpg" for number in range(1, 5)])
    task, table = read.read_train(tmp_path)
    assert {name: set(values) for name, values in task.factors.items()} == {
        "part": {"leaf", "stem"}, "state": {"healthy", "rust"}
    }  # fmt: skip
    assert sorted(set(table["group"])) == ["plant 1", "plant 2"] and task.n_classes == 4


def test_a_task_is_added_by_a_format(tmp_path, monkeypatch):
    data = tmp_path / "plants"
    draw_photos(data / "eval", ["a.jpg"])
    names = [f"p{n}_{name}_{shot}.jpg" for n in range(10) for name in ("leaf", "stem") for shot in range(2)]
    draw_photos(data / "train", names)
    with pytest.raises(UsageError, match="fits no format of data sets"):
        read.read_train(data)
    monkeypatch.setitem(read.FORMATS, "by name", None)  # which removes it in the end
    exec(block("Add a task", "python"), {"FORMATS": read.FORMATS, "Format": read.Format})
    task, table = read.read_train(data)
    assert (task.classes, task.groups, len(table)) == (("leaf", "stem"), "plants", 40)
    assert read.read_eval(data)["photo"].tolist() == ["a.jpg"]
    trained = train("Add a task", data, tmp_path, model=TINY["model"], weights="none")
    assert trained.status()["state"] == "done" and trained.task().classes == task.classes
    (data / "train" / names[0]).rename(data / "train" / "odd.jpg")
    with pytest.raises(UsageError, match=r"odd[.]jpg: is not GROUP_CLASS_NUMBER[.]jpg"):
        read.read_train(data)


@pytest.mark.slow
def test_an_experiment_is_added(people, tmp_path):
    """In a folder of its own, beside which the project's tuners and trial are found as in experiments/."""
    pytest.importorskip("nni")
    for folder in ("search_spaces", "experiments"):
        (tmp_path / folder).mkdir()
    (tmp_path / "search_spaces" / "NAME.json").write_text(block("Add an experiment", "json"))
    for room in ("tuners", "trial"):
        (tmp_path / room).symlink_to(PROJECT / room)
    yaml = tmp_path / "experiments" / "NAME.yaml"
    yaml.write_text(block("Add an experiment", "yaml"))
    plan = check(yaml, people)
    assert set(plan.space) == {"learning_rate", "loss"}
    header = [line for line in yaml.read_text().splitlines() if line.startswith("# ")]
    assert [line.split(":")[0] for line in header] == ["# Question", "# Command", "# Cost", "# Expect"]
