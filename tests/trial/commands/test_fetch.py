import json
import os
import socket
import subprocess
import sys
import time
from typing import ClassVar

import pytest
import timm
from safetensors.torch import save

from common.errors import UsageError
from common.machine import PROJECT, tracked
from tests.trial.models.hub import Hub, go_to, served
from trial.commands import fetch
from trial.models import weights
from trial.models.weights import locate


@pytest.fixture
def caches(monkeypatch, tmp_path):
    """weights/ and the caches of timm's downloads, empty; the folder that they are in."""
    monkeypatch.setattr(weights, "FETCHED", tmp_path / "weights")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path


def file_of(name: str) -> str:
    return f"/timm/{name}/resolve/main/model.safetensors"


@pytest.fixture
def hub(monkeypatch, caches):
    """A hub on this machine, with test_resnet and test_vit."""
    names = ("test_resnet.r160_in1k", "test_vit.r160_in1k")
    states = {name: timm.create_model(name, pretrained=False).state_dict() for name in names}

    class Local(Hub):
        files: ClassVar = {file_of(name): save(state) for name, state in states.items()}
        asked: ClassVar = []

    with served(Local) as address:
        go_to(monkeypatch, address)
        yield Local


def downloads(hub) -> list[str]:
    return [path.split("/")[2] for path in hub.asked if path.startswith("GET /timm/")]


@pytest.fixture
def nobody():
    """The address of a port at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    return f"http://127.0.0.1:{port}"


def exit_message(names: list[str], caplog) -> str:
    with pytest.raises(SystemExit) as end:
        fetch.fetch_all(names)
    assert end.value.code == 1
    return caplog.messages[-1]


def test_what_is_fetched_is_found_by_trials_and_not_fetched_again(hub, capsys):
    fetch.fetch_all(["test_resnet", "test_resnet.r160_in1k"])
    path = locate("test_resnet", "hub")
    assert downloads(hub) == ["test_resnet.r160_in1k"]
    assert str(path) in capsys.readouterr().out
    assert weights.load("test_resnet", "hub").keys() == timm.create_model("test_resnet").state_dict().keys()


def test_networks_trained_as_one_are_fetched_one_by_one(hub, tmp_path):
    (tmp_path / "e.yaml").write_text(
        "searchSpace: {}\ntrialCommand: python -m trial model=test_resnet+test_vit+test_resnet\n"
    )
    fetch.fetch_all(fetch.wanted_by(tmp_path / "e.yaml"))
    assert [name.partition(".")[0] for name in downloads(hub)] == ["test_resnet", "test_vit"]


def test_unknown_names_are_refused_before_the_first_download(hub):
    with pytest.raises(UsageError, match="did you mean resnet34"):
        fetch.fetch_all(["test_resnet", "resnet43"])
    with pytest.raises(UsageError, match="did you mean tv_in1k"):
        fetch.fetch_all(["resnet34.tv_in1"])
    with pytest.raises(UsageError, match="nothing to fetch"):
        fetch.fetch_all([])
    with pytest.raises(UsageError, match="deepvit has no pretrained weights"):
        fetch.fetch_all(["test_resnet", "deepvit"])
    assert hub.asked == []


def test_one_name_that_the_hub_lacks_does_not_stop_the_others(hub, caches, caplog):
    message = exit_message(["resnet18", "test_vit"], caplog)
    assert message.startswith("resnet18: the download failed (RemoteEntryNotFoundError: 404")
    assert "missing: weights/resnet18.a1_in1k.safetensors\n" in message
    assert [path.name for path in (caches / "weights").iterdir()] == ["test_vit.r160_in1k.safetensors"]


@pytest.mark.slow
def test_without_a_connection_each_server_is_asked_once_and_all_that_is_missing_is_named(nobody):
    command = [sys.executable, "-m", "trial", "weights", "--experiment", "experiments/models.yaml", "alexnet"]
    began = time.monotonic()
    local = {
        "HF_ENDPOINT": nobody,
        "https_proxy": nobody,
        "HF_HOME": "/no/cache",
        "TORCH_HOME": "/no/cache",
    }
    done = subprocess.run(command, cwd=PROJECT, env=os.environ | local, capture_output=True, text=True)
    # The hub's own retries would take a minute for each network; alone this takes some seconds.
    assert time.monotonic() - began < 180
    assert done.returncode == 1
    assert "Retry" not in done.stderr
    assert "Traceback" not in done.stderr
    assert f"{nobody} can't be reached (" in done.stderr
    assert "alexnet: https://download.pytorch.org can't be reached (" in done.stderr
    for name in (*fetch.wanted_by(PROJECT / "experiments" / "models.yaml"), "alexnet"):
        assert f"weights/{weights.full_name(name)}.safetensors" in done.stderr
    for way in ("weights=package (for tf_efficientnet_lite0", "weights=FILE or a folder", "weights=none"):
        assert way in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("trouble", ["never answers", "is out of order"])
def test_a_server_that_is_no_use_is_not_waited_for(trouble, hub, monkeypatch, caplog):
    monkeypatch.setattr(fetch, "REACH_SECONDS", 1)
    hub.missing = 503
    began = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as mute:
        if trouble == "never answers":
            go_to(monkeypatch, f"http://127.0.0.1:{mute.getsockname()[1]}")
        message = exit_message(["resnet18", "resnet34"], caplog)
    assert time.monotonic() - began < 20
    assert message.startswith("resnet18, resnet34: http://127.0.0.1")
    assert ("answers with an error (503)" in message) == (trouble == "is out of order")


def test_what_the_cache_of_downloads_holds_needs_no_server(hub, nobody, caches, monkeypatch, caplog):
    fetch.fetch_all(["test_vit"])
    fetched = caches / "weights" / "test_vit.r160_in1k.safetensors"
    fetched.unlink()
    go_to(monkeypatch, nobody)
    message = exit_message(["test_resnet", "test_vit"], caplog)
    assert message.startswith(f"test_resnet: {nobody} can't be reached")
    assert fetched.is_file()


def test_an_experiments_networks_are_those_whose_weights_come_from_the_hub(tmp_path):
    (tmp_path / "space.json").write_text(
        json.dumps(
            {
                "model": {
                    "_type": "choice",
                    "_value": [
                        {"_name": "resnet18"},
                        {
                            "_name": "tf_efficientnet_lite0",
                            "weights": {"_type": "choice", "_value": ["package"]},
                        },
                        {"_name": "resnet34.tv_in1k", "weights": {"_type": "choice", "_value": ["hub"]}},
                    ],
                }
            }
        )
    )
    yaml = tmp_path / "e.yaml"
    yaml.write_text("searchSpaceFile: space.json\ntrialCommand: python -m trial data=input\n")
    assert fetch.wanted_by(yaml) == ["resnet18", "resnet34.tv_in1k"]
    yaml.write_text("searchSpace: {}\ntrialCommand: python -m trial model=resnet50\n")
    assert fetch.wanted_by(yaml) == ["resnet50"]


@pytest.mark.parametrize("path", tracked("experiments", "*.yaml"), ids=lambda p: p.stem)
def test_every_shipped_experiment_says_what_it_needs(path):
    assert all(isinstance(name, str) for name in fetch.wanted_by(path))


def test_a_file_that_is_not_an_experiment_is_refused(tmp_path):
    with pytest.raises(UsageError, match="can't be read as an experiment"):
        fetch.wanted_by(tmp_path / "none.yaml")
