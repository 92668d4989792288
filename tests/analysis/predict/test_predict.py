import json
import shutil
from dataclasses import replace

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from analysis.predict.trained import Averaged, load, predict
from analysis.predict.validation import predict_validation, worth
from analysis.prediction import predict_and_submit
from common.errors import UsageError
from dataset.read import read_eval, read_train
from tests.analysis.fake_run import untrained
from tests.conftest import TINY
from trial.config import parse
from trial.data import views
from trial.data.views import VIEWS
from trial.run import run
from trial.run_folder.predictions import probabilities_of, scores_of
from trial.run_folder.record import RunFolder, RunWriter

ONLY_IN_TRAINING = {
    "augment": [{"_name": "InvertImg", "p": 1.0}, {"_name": "noise", "p": 1.0}], "copies": "baseline",
    "borders": {"_name": "relabel", "from_age": 40}, "mixing": "mixup", "sampler": "class_balanced",
}  # fmt: skip


@pytest.fixture(scope="module")
def photos(people) -> pd.DataFrame:
    return read_eval(people)


def ramp(height: int, width: int) -> torch.Tensor:
    """(1, 2, height, width): each place holds how far right, and how far down it is, from -.5 to .5."""
    down, across = ((torch.arange(n) + 0.5) / n - 0.5 for n in (height, width))
    return torch.stack(torch.broadcast_tensors(across, down[:, None]))[None]


def test_views_by_hand():
    image = ramp(40, 20)
    assert [len(list(see(image))) for see in VIEWS.values()] == [1, 2, 6, 12]
    assert all(torch.equal(next(see(image)), image) for see in VIEWS.values())
    torch.testing.assert_close(list(views.flip(image))[1][:, 0], -image[:, 0])
    # Of a ramp, a crop of 90 % resized back is a ramp of 90 %, moved to where the crop lies.
    inner = (slice(None), slice(None), slice(2, -2), slice(2, -2))
    moves = [(-0.05, -0.05), (0.05, -0.05), (-0.05, 0.05), (0.05, 0.05), (0, 0)]
    for view, move in zip(list(views.crops(image))[1:], moves, strict=True):
        wanted = 0.9 * image + torch.tensor(move).view(1, 2, 1, 1)
        torch.testing.assert_close(view[inner], wanted[inner], atol=1e-5, rtol=0)
    both, alone = list(views.flip_crops(image)), list(views.crops(image))
    assert torch.equal(both[2], alone[1])
    assert torch.equal(both[3], alone[1].flip(3))


def network(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(2 * 8 * 6, 18))


def test_the_mean_is_of_probabilities_over_networks_and_views():
    images = torch.randn(3, 2, 8, 6, generator=torch.Generator().manual_seed(0))
    one, other = network(1), network(2)
    got = Averaged([one, other], views.flip, temperature=2.0)(images).softmax(1)
    logits = [net(view) / 2 for net in (one, other) for view in (images, images.flip(3))]
    torch.testing.assert_close(got, sum(each.softmax(1) for each in logits) / 4)


def test_with_its_mirror_image_a_photo_is_answered_as_its_mirror_image():
    images = torch.randn(3, 2, 8, 6, generator=torch.Generator().manual_seed(0))
    averaged, plain = (Averaged([network(1)], VIEWS[name]) for name in ("flip", "none"))
    torch.testing.assert_close(averaged(images), averaged(images.flip(3)))
    assert not torch.allclose(plain(images), plain(images.flip(3)))


def test_a_high_temperature_makes_unsure_and_changes_no_answer(people, photos, tmp_path):
    untrained(tmp_path)
    trained = load(tmp_path)
    sharp, soft = (trained.predict(photos, temperature=t) for t in (0.25, 50.0))
    assert (sharp.argmax(1) == soft.argmax(1)).all()
    assert sharp.max(1).mean() > soft.max(1).mean()
    assert soft == pytest.approx(1 / 18, abs=0.01)


def test_views_are_of_the_photo_as_the_network_sees_it(photos, tmp_path):
    """Predicted with its mirror image, it is the mean of two predictions: of the photo, and of its mirrored file."""
    untrained(tmp_path / "run")
    mirrored = []
    for number, path in enumerate(photos["path"]):
        mirrored.append(str(tmp_path / f"{number}.png"))
        cv2.imwrite(mirrored[-1], cv2.imread(path)[:, ::-1])
    both = [predict(tmp_path / "run", photos.assign(path=paths)) for paths in (photos["path"], mirrored)]
    assert predict(tmp_path / "run", photos, "flip") == pytest.approx(np.mean(both, axis=0), abs=1e-3)


def test_folds_that_share_a_frozen_backbone_run_it_once(people, photos, tmp_path):
    values = {"features": "cached", "head": "auto", "fold": "all", "folds": 3, "epochs": 1, "cache_limit": 0}
    config = parse({**TINY, **values, "data": str(people)})
    run(config, RunWriter(tmp_path, config), lambda report: None)
    trained = load(tmp_path)
    alone = [replace(trained, networks=[network]).predict(photos, "flip") for network in trained.networks]
    seen = []
    for network in trained.networks:
        network.register_forward_hook(lambda module, inputs, outputs: seen.append(len(inputs[0])))
    assert trained.predict(photos, "flip") == pytest.approx(np.mean(alone, axis=0), abs=1e-5)
    assert sum(seen) == 2 * len(photos)
    assert not np.allclose(alone[0], alone[1])


@pytest.mark.slow
def test_runs_that_share_a_frozen_backbone_share_its_features(people, photos, tmp_path, monkeypatch):
    monkeypatch.setattr("dataset.cache.arrays.CACHE", tmp_path / "cache")
    values = {"features": "cached", "head": "auto", "fold": "all", "folds": 3, "epochs": 1, "cache_limit": 1}
    runs = []
    for seed in (0, 1):
        config = parse({**TINY, **values, "data": str(people), "seed": seed, "learning_rate": 0.1})
        run(config, RunWriter(tmp_path / str(seed), config), lambda report: None)
        runs.append(load(tmp_path / str(seed)))
    for one in runs:  # weights=none: as if both had begun from the same pretrained ones
        state = {k: v for k, v in runs[0].networks[0].state_dict().items() if not k.startswith("fc.")}
        for network in one.networks:
            network.load_state_dict(state, strict=False)
    others = photos.iloc[::-1]
    plain = [replace(one, cache_limit=0).predict(others, "flip", 2) for one in runs]
    seen = []
    for one in runs:
        one.networks[0].register_forward_hook(lambda module, inputs, outputs: seen.append(len(inputs[0])))
    kept = [one.predict(others, "flip", 2) for one in runs]
    assert sum(seen) == 2 * len(photos), "two views, once for both runs"
    for ours, theirs in zip(kept, plain, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-5)
    assert not np.allclose(*kept)
    full = replace(runs[0], cache_limit=1e-9)
    assert full.predict(others, "flip", 2) == pytest.approx(plain[0], abs=1e-6), (
        "nothing fits: it is streamed"
    )


def test_the_networks_of_all_folds_are_averaged(photos, tmp_path):
    alone = [predict(untrained(tmp_path / str(seed), seed).folder, photos) for seed in (1, 2)]
    folds = untrained(tmp_path / "folds", folds=(1, 2)).folder
    assert predict(folds, photos) == pytest.approx(np.mean(alone, axis=0), abs=1e-5)
    assert abs(alone[0] - alone[1]).max() > 0.001


def test_networks_are_listed_in_the_order_of_their_folds(tmp_path):
    assert [path.name for path in untrained(tmp_path / "one").weights_files()] == ["weights.safetensors"]
    many = untrained(tmp_path / "many", folds=(2, 10, 0))
    assert [path.name for path in many.weights_files()] == [
        f"weights.fold{fold}.safetensors" for fold in (0, 2, 10)
    ]
    assert RunFolder(tmp_path).weights_files() == []


def test_the_submission_says_how_it_was_predicted(people, photos, tmp_path):
    untrained(tmp_path / "run")
    probabilities, _ = predict_and_submit(tmp_path / "run", people, tmp_path / "out", "crops", 2.0)
    assert list(pd.read_csv(tmp_path / "out" / "submission.csv")["ans"]) == list(probabilities.argmax(1))
    written = json.loads((tmp_path / "out" / "submission.json").read_text())
    assert (written["tta"], written["temperature"]) == ("crops", 2.0)
    assert (tmp_path / "out" / "report.html").exists()


def test_what_cannot_be_predicted_is_refused_all_at_once(tmp_path):
    with pytest.raises(UsageError) as error:
        predict_and_submit(tmp_path / "none", tmp_path / "nowhere", tmp_path / "out", "flop", 0.0)
    said = str(error.value)
    for words in ("did you mean flip", "--temperature 0", "no folder", "holds no trained network"):
        assert words in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["config.json", "preprocessing.json", "origin.json", "weights.safetensors"])
def test_a_damaged_or_incomplete_run_is_refused_in_words(tmp_path, name):
    path = untrained(tmp_path).folder / name
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(UsageError, match=name):
        load(tmp_path)
    path.unlink()
    with pytest.raises(UsageError, match=f"no {name}"):
        load(tmp_path)


def test_a_damaged_task_is_refused_and_a_missing_one_is_the_home_task(tmp_path):
    path = untrained(tmp_path).folder / "task.json"
    path.write_text(path.read_text()[:-30])
    with pytest.raises(UsageError, match=r"task\.json: is damaged"):
        load(tmp_path)
    path.unlink()
    assert load(tmp_path).task.n_classes == 18


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU takes float16")
def test_what_was_trained_in_float16_on_a_gpu_predicts_without_one(photos, tmp_path):
    path = untrained(tmp_path).folder / "config.json"
    path.write_text(path.read_text().replace('"precision": "auto"', '"precision": "float16"'))
    assert predict(tmp_path, photos).shape == (len(photos), 18)


def test_a_network_of_other_classes_is_refused(tmp_path):
    path = untrained(tmp_path).folder / "weights.safetensors"
    weights = load_file(path)
    head = {key: value[:3] for key, value in weights.items() if key.startswith("fc.")}
    save_file(weights | head, path)
    with pytest.raises(UsageError, match=r"not the weights of a test_resnet.* of 18 classes .*fc"):
        load(tmp_path)


@pytest.mark.slow
def test_test_time_augmentation_is_measured_on_the_runs_own_validation_people(people, tmp_path, capsys):
    config = parse({**TINY, "data": str(people), "fold": "all", "folds": 3, "epochs": 1, **ONLY_IN_TRAINING})
    run(config, RunWriter(tmp_path / "run", config), lambda report: None)
    kept, trained = RunFolder(tmp_path / "run").validation(), load(tmp_path / "run")
    table = read_train(people).table  # each photo once, as labelled
    assert sorted(zip(kept["photo"], kept["label"], strict=True)) == sorted(
        zip(table["photo"], table["label"], strict=True)
    )
    again = predict_validation(tmp_path / "run", trained, people, "none")
    assert probabilities_of(again) == pytest.approx(probabilities_of(kept), abs=1e-4)
    flipped = predict_validation(tmp_path / "run", trained, people, "flip")
    assert abs(probabilities_of(flipped) - probabilities_of(kept)).max() > 1e-3
    _, about = predict_and_submit(tmp_path / "run", people, tmp_path / "out", "flip")
    assert about["validation"]["macro_f1_by_tta"] == {
        "none": scores_of(kept).macro_f1,
        "flip": scores_of(flipped).macro_f1,
    }
    assert "without TTA" in capsys.readouterr().out


def test_a_run_without_validation_people_here_is_not_measured(people, tmp_path):
    untrained(tmp_path / "retrained")
    assert worth(tmp_path / "retrained", load(tmp_path / "retrained"), people, "flip") is None


def test_nor_is_one_where_there_are_only_photos_to_answer_and_it_says_why(people, tmp_path, capsys):
    config = parse({**TINY, "data": str(people), "epochs": 1})
    run(config, RunWriter(tmp_path / "run", config), lambda report: None)
    shutil.copytree(people / "eval", tmp_path / "set" / "eval")
    _, about = predict_and_submit(tmp_path / "run", tmp_path / "set", tmp_path / "out", "flip")
    assert "macro_f1_by_tta" not in about["validation"]
    assert "not measured on validation people: " in capsys.readouterr().out


def test_any_folder_of_photos_is_answered_by_the_paths_in_it(people, photos, tmp_path, caplog):
    untrained(tmp_path / "run")
    folder = tmp_path / "mine"
    for number, path in enumerate(photos["path"][:6]):
        (folder / f"{number % 2}").mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / f"{number % 2}" / f"{number}.jpg")
    (folder / "list.txt").touch()
    probabilities, _ = predict_and_submit(tmp_path / "run", None, tmp_path / "out", images=folder)
    order = [0, 2, 4, 1, 3, 5]
    assert probabilities == pytest.approx(predict(tmp_path / "run", photos.iloc[order]), abs=1e-5)
    names = list(pd.read_csv(tmp_path / "out" / "submission.csv")["ImageID"])
    assert names == [f"{number % 2}/{number}.jpg" for number in order]
    assert "skipped: 'list.txt'" in caplog.text
    (folder / "0" / "0.jpg").write_bytes(b"x")
    (folder / "1" / "1.jpg").write_bytes(b"x")
    with pytest.raises(UsageError) as error:
        predict_and_submit(tmp_path / "run", None, tmp_path / "out2", images=folder)
    assert len(error.value.errors) == 2
    assert not (tmp_path / "out2").exists()


def test_a_set_without_info_csv_is_answered(people, photos, tmp_path):
    untrained(tmp_path / "run")
    shutil.copytree(people / "eval" / "images", tmp_path / "set" / "eval" / "images")
    predict_and_submit(tmp_path / "run", tmp_path / "set", tmp_path / "out")
    assert list(pd.read_csv(tmp_path / "out" / "submission.csv")["ImageID"]) == sorted(photos["photo"])
