import json

import pytest
import timm

from dataset.errors import CallersMistake
from dataset.machine import PROJECT
from trial import fetch, weights
from trial.weights import locate


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A hub that has everything: networks with the weights that they happen to begin with."""
    asked = []
    create = timm.create_model

    def pretrained(name, pretrained=False, **more):
        asked.append(name)
        return create(name, pretrained=False, **more)

    monkeypatch.setattr("timm.create_model", pretrained)
    monkeypatch.setattr(weights, "FETCHED", tmp_path / "weights")
    return asked


def test_what_is_fetched_is_found_by_trials_and_not_fetched_again(hub, capsys):
    fetch.fetch_all(["test_resnet", "test_resnet.r160_in1k"])
    path = locate("test_resnet", "hub")
    assert hub == ["test_resnet.r160_in1k"]
    assert str(path) in capsys.readouterr().out
    assert weights.load("test_resnet", "hub").keys() == timm.create_model("test_resnet").state_dict().keys()


def test_networks_trained_as_one_are_fetched_one_by_one(hub, tmp_path):
    (tmp_path / "e.yaml").write_text(
        "searchSpace: {}\ntrialCommand: python -m trial model=test_resnet+test_vit+test_resnet\n"
    )
    fetch.fetch_all(fetch.wanted_by(tmp_path / "e.yaml"))
    assert [name.partition(".")[0] for name in hub] == ["test_resnet", "test_vit"]


def test_unknown_names_are_refused_before_the_first_download(hub):
    with pytest.raises(CallersMistake, match="did you mean resnet34"):
        fetch.fetch_all(["test_resnet", "resnet43"])
    with pytest.raises(CallersMistake, match="did you mean tv_in1k"):
        fetch.fetch_all(["resnet34.tv_in1"])
    with pytest.raises(CallersMistake, match="nothing to fetch"):
        fetch.fetch_all([])
    assert hub == []


def test_a_download_that_fails_is_told_and_leaves_nothing(monkeypatch, tmp_path, capsys):
    def offline(*arguments, **more):
        raise OSError("no route to host")

    monkeypatch.setattr("timm.create_model", offline)
    monkeypatch.setattr(weights, "FETCHED", tmp_path / "weights")
    with pytest.raises(SystemExit) as end:
        fetch.fetch_all(["test_resnet"])
    assert end.value.code == 1
    assert "no route to host" in capsys.readouterr().err
    assert not (tmp_path / "weights").exists()


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


@pytest.mark.parametrize("path", sorted((PROJECT / "experiments").glob("*.yaml")), ids=lambda p: p.stem)
def test_every_shipped_experiment_says_what_it_needs(path):
    assert all(isinstance(name, str) for name in fetch.wanted_by(path))


def test_what_is_no_experiment_is_refused(tmp_path):
    with pytest.raises(CallersMistake, match="can't be read as an experiment"):
        fetch.wanted_by(tmp_path / "none.yaml")
