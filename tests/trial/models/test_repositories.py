import io
import json
import logging
from typing import Any, ClassVar

import pandas as pd
import pytest
import timm
import torch
from safetensors.torch import save

from analysis.predict.trained import predict
from analysis.trials.ranking import rank
from common.errors import UsageError, errors_of
from dataset.face_masks.labels import FACE_MASK
from dataset.read import scan_train
from experiments.check import recipe_errors
from experiments.plan import read_plan
from tests.conftest import TINY, call
from tests.trial.models.hub import Hub, go_to, served
from trial.commands.fetch import fetch_all, wanted_by
from trial.commands.train import app
from trial.config import parse
from trial.models import weights
from trial.models.weights import fetched_path, hashes, locate, network_of, pinned
from trial.recipe import build
from trial.run_folder.record import RunFolder

NAME = "hf-hub:me/tiny.v2"
NOWHERE = "http://127.0.0.1:9"
OWN = {"mean": [0.1, 0.2, 0.3], "std": [0.5, 0.6, 0.7], "interpolation": "bilinear"}


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """An empty hub on this machine, and an empty weights/."""

    class Local(Hub):
        files: ClassVar = {}
        asked: ClassVar = []
        commits: ClassVar = {}

    monkeypatch.setattr(weights, "FETCHED", tmp_path / "weights")
    with served(Local) as address:
        go_to(monkeypatch, address)
        yield Local


def config_of(architecture: str, classes: int = 7, arguments: Any = None, **own: Any) -> bytes:
    """A config.json as timm's push_to_hf_hub writes it: of a network for `classes` classes."""
    known = timm.get_pretrained_cfg(architecture).to_dict(remove_source=True)
    read = {"architecture": architecture, "num_classes": classes, "model_args": arguments or {}}
    return json.dumps(read | {"pretrained_cfg": known | {"num_classes": classes} | OWN | own}).encode()


def state_of(architecture: str, seed: int = 0, **named: Any) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    return timm.create_model(architecture, num_classes=7, **named).state_dict()


def files_of(architecture: str, seed: int = 0) -> dict[str, bytes]:
    return {"config.json": config_of(architecture), "model.safetensors": save(state_of(architecture, seed))}


def first_layer(name: str, **values: Any) -> torch.Tensor:
    """What the network starts from in its first layer."""
    network, _ = build(parse({**TINY, "model": name, "weights": "hub", **values}), FACE_MASK)
    return next(iter(network.parameters()))


def refused(name: str, caplog) -> str:
    """What is said where a repository is not fetched."""
    with pytest.raises(SystemExit):
        fetch_all([name])
    assert not fetched_path(name).is_file()
    return caplog.messages[-1]


def test_a_repository_is_fetched_once_then_trained_and_predicted_with_without_a_network(
    hub, monkeypatch, people, tmp_path, caplog, capsys
):
    caplog.set_level(logging.INFO)
    commit = hub.push("me/tiny.v2", files_of("test_resnet"), {"license": "cc-by-nc-4.0"})
    fetch_all([NAME])
    assert f"{NAME}@{commit}: licence cc-by-nc-4.0; competitions may forbid" in caplog.text
    go_to(monkeypatch, NOWHERE)
    fetch_all([NAME])
    assert capsys.readouterr().out == 2 * f"{locate(NAME, 'hub')}\n"
    assert torch.equal(first_layer(NAME), state_of("test_resnet")["conv1.0.weight"])

    out = tmp_path / "run"
    words = [f"{key}={value}" for key, value in (TINY | {"model": NAME, "weights": "hub"}).items()]
    done = call(app, *words, f"data={people}", f"out={out}")
    assert done.exit_code == 0, done.stderr
    run = RunFolder(out)
    assert run.origin()["networks"] == [f"{NAME}@{commit}"]
    prepared = run.preprocessing()
    assert [list(prepared.mean), list(prepared.std), prepared.interpolation] == list(OWN.values())
    assert hashes(run.config().model, run.config().weights).keys() == {f"{NAME}@{commit}"}
    photos = scan_train(people)[1]
    assert predict(out, photos.head(2)).shape == (2, 18)


def test_a_card_may_state_no_licence(hub, caplog):
    caplog.set_level(logging.INFO)
    hub.push("me/tiny.v2", files_of("test_resnet"))
    fetch_all([NAME])
    assert "its card states no licence" in caplog.text


def test_a_name_stays_with_the_commit_that_was_fetched_and_a_revision_names_another(hub, monkeypatch):
    def layer(seed: int) -> torch.Tensor:
        return state_of("test_resnet", seed)["conv1.0.weight"]

    first = hub.push("me/tiny.v2", files_of("test_resnet", 1))
    old = hub.push("me/tiny.v2", files_of("test_resnet", 2), revision="v1.0")
    fetch_all([NAME, f"{NAME}@v1.0"])
    second = hub.push("me/tiny.v2", files_of("test_resnet", 3))
    fetch_all([NAME])
    assert torch.equal(first_layer(NAME), layer(1))
    assert torch.equal(first_layer(f"{NAME}@v1.0"), layer(2))
    fetch_all([f"{NAME}@{second}"])
    assert torch.equal(first_layer(f"{NAME}@{second}"), layer(3))
    go_to(monkeypatch, NOWHERE)
    fetch_all([f"{NAME}@{first}"])
    assert torch.equal(first_layer(f"{NAME}@{first}"), layer(1))
    assert [pinned(name) for name in (NAME, f"{NAME}@v1.0")] == [f"{NAME}@{first}", f"{NAME}@{old}"]


def test_repositories_are_joined_with_other_networks(hub):
    hub.push("me/tiny.v2", files_of("test_resnet"))
    hub.push("you/vit", files_of("test_vit"))
    fetch_all([f"{NAME}+hf-hub:you/vit"])
    values = {"model": f"{NAME}+test_resnet+hf-hub:you/vit", "weights": "hub+none+hub"}
    for join in ("logits", "features"):
        network, _ = build(parse({**TINY, **values, "join": join}), FACE_MASK)
        vit = network.members[2].state_dict()
        assert torch.equal(vit["patch_embed.proj.weight"], state_of("test_vit")["patch_embed.proj.weight"])


def test_pickled_weights_of_another_image_size_with_a_prefix_are_taken_without_a_head(hub):
    state = state_of("test_vit", img_size=96)
    body = {f"model.{key}": value for key, value in state.items() if not key.startswith("head.")}
    config = config_of("test_vit", 0, {"img_size": 96, "num_classes": 0}, input_size=[3, 96, 96])
    hub.push("me/tiny.v2", {"config.json": config, "pytorch_model.bin": pickled({"state_dict": body})})
    fetch_all([NAME])
    assert torch.equal(first_layer(NAME, image_size="64x32"), state["cls_token"])


def test_constraints_are_those_of_the_network_in_the_config(hub):
    hub.push("me/tiny.v2", files_of("test_vit"))
    fetch_all([NAME])
    assert network_of(NAME) == network_of("test_vit")
    with pytest.raises(UsageError, match=rf"image_size=50x32: {NAME} takes multiples of 16 each way"):
        parse({**TINY, "model": NAME, "image_size": "50x32"})
    large = "hf-hub:me/mixer"
    hub.push("me/mixer", {"config.json": config_of("mixer_b16_224", input_size=[3, 384, 384])})
    assert weights.repository_of(large).fetch_config(weights.FETCHED)
    with pytest.raises(UsageError, match=rf"{large} takes only 384x384"):
        parse({**TINY, "model": large})


@pytest.mark.parametrize(("patch", "side"), [(8, 8), ([8, 4], 8), (32, 32)])
def test_sizes_are_multiples_of_the_patch_in_the_config(hub, patch, side):
    arguments = {"patch_size": patch, "img_size": 96}
    state = state_of("test_vit", **arguments)
    config = config_of("test_vit", 7, arguments, input_size=[3, 96, 96])
    hub.push("me/tiny.v2", {"config.json": config, "model.safetensors": save(state)})
    fetch_all([NAME])
    network = network_of(NAME)
    assert (network.multiple, network.min_side) == (side, side)
    size = f"{3 * side}x{side}"
    built, _ = build(parse({**TINY, "model": NAME, "weights": "hub", "image_size": size}), FACE_MASK)
    assert torch.equal(built.patch_embed.proj.weight, state["patch_embed.proj.weight"])
    assert built(torch.zeros(1, 3, 3 * side, side)).shape == (1, 18)
    wrong = f"{3 * side + 4}x{side}"
    with pytest.raises(UsageError, match=rf"image_size={wrong}: {NAME} takes multiples of {side} each way"):
        parse({**TINY, "model": NAME, "image_size": wrong})


def test_own_weights_and_random_ones_need_the_config_alone(hub, tmp_path):
    hub.push("me/tiny.v2", files_of("test_resnet"))
    for source in ("none", str(tmp_path), "hub"):
        with pytest.raises(
            UsageError, match=rf"^{NAME} is not fetched; run: python -m trial weights {NAME}$"
        ):
            parse({**TINY, "model": NAME, "weights": source})
    fetch_all([NAME])
    build(parse({**TINY, "model": NAME, "weights": "none"}), FACE_MASK)
    with pytest.raises(UsageError, match=r"holds no me--tiny\.v2"):
        parse({**TINY, "model": NAME, "weights": str(tmp_path)})
    (tmp_path / "me--tiny.v2.safetensors").write_bytes(save(state_of("test_resnet", 5)))
    layer = first_layer(NAME, weights=str(tmp_path))
    assert torch.equal(layer, state_of("test_resnet", 5)["conv1.0.weight"])


@pytest.mark.parametrize(
    "name",
    ["me/tiny", "hf_hub:me/tiny", "hf-hub:tiny", "hf-hub:me/a/b", "hf-hub:../x", "hf-hub:me/x@", "hf-hub:/x"],
)
def test_a_name_of_another_form_is_refused_before_anything_is_asked(hub, name):
    assert errors_of(parse, {**TINY, "model": f"{name}+test_resnet"}) == [
        f"model={name}: a repository of Hugging Face's hub is named hf-hub:ORG/NAME, or hf-hub:ORG/NAME@REVISION"
    ]
    with pytest.raises(UsageError, match="hf-hub:ORG/NAME"):
        fetch_all([name])
    assert hub.asked == []


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (None, "me/tiny.v2 has no config.json"),
        (b'{"architectures": ["ViTModel"]}', "config.json names no 'architecture', so it is none of timm's"),
        (b"[1]", "config.json can't be read (list indices"),
        (b"{", "config.json can't be read (Expecting property name"),
        (config_of("test_vit", classifier=None), "config.json names no 'classifier'"),
        (config_of("test_vit", input_size=[12, 64, 64]), "its network takes 12 channels, and photos have 3"),
        (b'{"architecture": "resnet43", "classifier": "fc"}', "'resnet43'; did you mean resnet34?"),
    ],
)
def test_another_librarys_repository_is_refused_before_its_weights_are_downloaded(
    hub, config, message, caplog
):
    files = {"config.json": config} if config else {}
    hub.push("me/tiny.v2", files | {"model.safetensors": save(state_of("test_resnet"))})
    said = refused(NAME, caplog)
    assert said.startswith(f"{NAME}: ") and message in said
    assert not any("model.safetensors" in asked for asked in hub.asked)
    assert errors_of(parse, {**TINY, "model": NAME})


class RunsCode:
    def __reduce__(self):
        return print, ("this was run",)


def pickled(content: Any) -> bytes:
    torch.save(content, file := io.BytesIO())
    return file.getvalue()


@pytest.mark.parametrize(
    ("weights_file", "message"),
    [
        ({}, "me/tiny.v2 has no weights that timm can load (model.safetensors or pytorch_model.bin)"),
        ({"model.safetensors": save(state_of("test_vit"))}, f"don't fit {NAME}"),
        (
            {"pytorch_model.bin": pickled({"weight": RunsCode()})},
            "it holds Python objects (print) that would run code",
        ),
    ],
)
def test_weights_that_trials_could_not_use_are_not_kept(hub, weights_file, message, caplog, capsys):
    hub.push("me/tiny.v2", {"config.json": config_of("test_resnet"), **weights_file})
    for _ in range(2):
        said = refused(NAME, caplog)
        assert message in said and "missing: weights/models--me--tiny.v2" in said
    assert "this was run" not in capsys.readouterr().out
    with pytest.raises(UsageError, match=f"run: python -m trial weights {NAME}"):
        parse({**TINY, "model": NAME, "weights": "hub"})


def test_a_config_that_was_damaged_since_is_named(hub):
    hub.push("me/tiny.v2", files_of("test_resnet"))
    fetch_all([NAME])
    weights.snapshot(NAME).joinpath("config.json").write_text("{")
    with pytest.raises(UsageError, match=rf"^{NAME}: config\.json can't be read \(Expecting"):
        parse({**TINY, "model": NAME})


def test_an_experiment_searches_repositories(hub, people, tmp_path):
    hub.push("me/tiny.v2", files_of("test_vit"))
    random = {"_type": "choice", "_value": ["none"]}
    models = [{"_name": NAME}, {"_name": "test_resnet", "weights": random}]
    space = {
        "model": {"_type": "choice", "_value": models},
        "image_size": {"_type": "choice", "_value": ["50x32"]},
    }
    (tmp_path / "space.json").write_text(json.dumps(space))
    (tmp_path / "e.yaml").write_text(
        "searchSpaceFile: space.json\ntrialCodeDirectory: .\n"
        f"trialCommand: python -m trial data={people} epochs=1\n"
    )
    assert wanted_by(tmp_path / "e.yaml") == [NAME]
    plan, _ = read_plan(tmp_path / "e.yaml")
    assert recipe_errors(plan)[0] == f"{NAME} is not fetched; run: python -m trial weights {NAME}"
    fetch_all([NAME])
    assert recipe_errors(plan) == [f"image_size=50x32: {NAME} takes multiples of 16 each way, such as 48x32"]


def test_trials_are_chosen_by_a_repository_whatever_its_revision():
    models = [f"{NAME}@abc", "hf-hub:me/tiny", "resnet34.tv_in1k"]
    table = pd.DataFrame({"model": models, "state": "done", "macro_f1": [0.3, 0.2, 0.1]})
    table["sequence"] = range(3)
    table["trial"] = list("abc")
    ranking = rank(table)
    for name, model in ((NAME, models[0]), ("hf-hub:me/tiny", models[1]), ("resnet34", models[2])):
        assert ranking.best(model=name)["model"].tolist() == [model]
