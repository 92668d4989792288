import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F

from common.errors import UsageError
from dataset.face_masks.labels import FACE_MASK
from dataset.read import read_train
from dataset.task import Task
from tests.conftest import TINY
from trial import recipe
from trial.augment.mixing import MIXINGS
from trial.config import parse
from trial.learning.losses import LOSSES
from trial.learning.teachers import softened
from trial.rng import Draw, stream
from trial.run import run
from trial.run_folder.out_of_fold import predictions
from trial.run_folder.predictions import probability_columns
from trial.run_folder.record import RunFolder, RunWriter
from trial.run_folder.resume import continued

TASK = Task("pets", ("cat", "dog", "hen"), rare=(2,))
RIGHT = np.array([0.6, 0.3, 0.1])


def run_folder(folder, photos, probabilities, task=TASK, state="done"):
    """A run that was validated on `photos` (photo, group, label), with these (photos, classes)."""
    writer = RunWriter(folder, parse({**TINY, "fold": "all"}))
    writer.task(task)
    table = photos[["photo", "group", "label"]].assign(fold=0)
    table[probability_columns(task.n_classes)] = probabilities
    writer.best(0, 1, {"a": torch.zeros(1)}, table)
    if state != "running":
        writer.end(state)
    return folder


@pytest.fixture
def photos() -> pd.DataFrame:
    names = [f"{number}.png" for number in range(6)]
    return pd.DataFrame({"photo": names, "group": list("aabbcc"), "label": [0, 1, 2] * 2})


def test_the_runs_predictions_are_averaged_photo_by_photo(photos, tmp_path):
    one, other = np.tile(RIGHT, (6, 1)), np.random.default_rng(0).dirichlet(np.ones(3), 6)
    a = run_folder(tmp_path / "a", photos, one)
    b = run_folder(tmp_path / "b", photos[::-1], other[::-1])
    found = predictions([str(a), str(b)], photos.iloc[[4, 0]], TASK)
    assert found == pytest.approx((one + other)[[4, 0]] / 2)
    softer = predictions([str(a)], photos, TASK, temperature=2.0)
    assert softer[0] == pytest.approx(RIGHT**0.5 / (RIGHT**0.5).sum())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda table: table.head(4), "2 of 6 training photos not out of fold, first 4.png.*fold=all"),
        (lambda table: pd.concat([table, table.head(1)]), "predicts 0.png more than once"),
        (
            lambda table: table.assign(p01=np.nan),
            "the probabilities of 6 photos, first 0.png, are not numbers",
        ),
        (lambda table: table.assign(p01=0.9), "sum to 1"),
        (lambda table: table.assign(p01=-0.1), "from 0 to 1"),
        (lambda table: table.drop(columns="p02"), "predicts other classes"),
        (lambda table: table.drop(columns="label"), "is damaged|no label"),
    ],
)
def test_predictions_that_do_not_fit_are_refused(photos, tmp_path, change, words):
    folder = run_folder(tmp_path / "a", photos, np.tile(RIGHT, (6, 1)))
    path = folder / "validation.parquet"
    table = change(pd.read_parquet(path))
    table.to_parquet(path)
    if "label" not in table:  # is not used, and may be corrected since
        assert predictions([str(folder)], photos, TASK).shape == (6, 3)
        return
    with pytest.raises(UsageError, match=words):
        predictions([str(folder)], photos, TASK)


def test_runs_without_predictions_or_of_other_classes_are_all_named(photos, tmp_path):
    (tmp_path / "empty").mkdir()
    pets = run_folder(tmp_path / "a", photos, np.tile(RIGHT, (6, 1)))
    with pytest.raises(UsageError) as error:
        predictions([str(tmp_path / "empty"), str(pets)], photos, FACE_MASK)
    assert len(error.value.errors) == 2
    assert "holds no predictions of validation photos; give the folder" in error.value.errors[0]
    assert "predicts other classes (cat, dog, hen) than" in error.value.errors[1]


def test_a_run_that_still_trains_is_refused_and_one_that_ended_early_noted(photos, tmp_path, caplog):
    running = run_folder(tmp_path / "running", photos, np.tile(RIGHT, (6, 1)), state="running")
    with pytest.raises(UsageError, match=r"running: is still running .on .*; its predictions would change"):
        predictions([str(running)], photos, TASK)
    stopped = run_folder(tmp_path / "stopped", photos, np.tile(RIGHT, (6, 1)), state="interrupted")
    assert predictions([str(stopped)], photos, TASK).shape == (6, 3)
    assert any("stopped: ended early (interrupted)" in message for message in caplog.messages)


def test_what_can_not_be_done_is_refused_at_once():
    for values, words in (
        ({"teacher": "out_of_fold"}, "teacher=out_of_fold: give the folders of runs with fold=all"),
        ({"teacher": {"runs": "nowhere"}}, "give it too, such as teacher=out_of_fold"),
        ({"teacher": {"_name": "out_of_fold", "runs": "nowhere, no"}}, "teacher.runs: no: no such folder"),
        ({"teacher": {"_name": "out_of_fold", "fraction": 2}}, "teacher.fraction: 2.0 is not from 0 to 1"),
        (
            {"teacher": {"_name": "out_of_fold", "runs": "."}, "init": "lda", "learning_rate": 0},
            "nothing is trained with learning_rate=0",
        ),
    ):
        with pytest.raises(UsageError, match=words):
            parse({**TINY, **values})


def test_the_loss_is_that_of_labels_and_of_predictions_by_their_fraction():
    logits, labels = torch.randn(4, 3), torch.tensor([0, 1, 2, 0])
    known = np.random.default_rng(0).dirichlet(np.ones(3), 9)
    rows = np.array([8, 2, 5, 0])
    targets = softened(known, 0.3)(labels, rows)
    wanted = 0.7 * F.cross_entropy(logits, labels) + 0.3 * F.cross_entropy(
        logits, torch.from_numpy(known[rows]).float()
    )
    assert F.cross_entropy(logits, targets) == pytest.approx(float(wanted), rel=1e-5)
    assert (softened(known, 0.0)(labels, rows) == F.one_hot(labels, 3)).all()


@pytest.mark.parametrize("name", MIXINGS)
def test_every_mixing_mixes_fractions_as_it_mixes_labels(name):
    labels, images = torch.tensor([0, 1, 2, 0]), torch.rand(4, 3, 16, 16)
    mix = MIXINGS[name](TASK)
    mixed = []
    for given in (labels, F.one_hot(labels, 3).float()):
        torch.manual_seed(0)
        draw = Draw(stream("batch", 0, 1, 0), np.arange(4), 1, (16, 16))
        seen, targets = mix(images.clone(), given, draw)
        mixed.append((seen, targets if targets.dim() == 2 else F.one_hot(targets, 3).float()))
    assert torch.equal(mixed[0][0], mixed[1][0]) and torch.allclose(mixed[0][1], mixed[1][1])


@pytest.mark.slow
@pytest.mark.parametrize("features", ["none", "cached"])
def test_a_network_learns_what_its_teacher_knows(people, tmp_path, features):
    """The teacher calls every photo class 7 with certainty, and has the whole target."""
    table = read_train(people).table
    teacher = run_folder(tmp_path / "teacher", table, np.eye(18)[np.full(len(table), 7)], FACE_MASK)
    taught = {"_name": "out_of_fold", "runs": str(teacher), "fraction": 1.0}
    values = {**TINY, "data": str(people), "features": features, "learning_rate": 0.02, "epochs": 3}
    config = parse({**values, "teacher": taught, "schedule": "constant"})
    writer = RunWriter(tmp_path / "run", config)
    run(config, writer, lambda report: None)
    writer.end("done")
    found = RunFolder(tmp_path / "run")
    assert found.config().teacher == config.teacher
    answers = found.validation()
    assert (answers[probability_columns(18)].to_numpy().argmax(1) == 7).mean() > 0.9


def test_a_run_does_not_go_on_with_a_teacher_that_has_changed(people, tmp_path):
    table = read_train(people).table
    certain = [np.eye(18)[np.full(len(table), label)] for label in (7, 8)]
    teacher, folder = run_folder(tmp_path / "teacher", table, certain[0], FACE_MASK), tmp_path / "run"
    values = {
        **TINY,
        "data": str(people),
        "epochs": 1,
        "teacher": {"_name": "out_of_fold", "runs": str(teacher)},
    }
    config = parse(values)
    writer = RunWriter(folder, config, keep_checkpoint=True)
    run(config, writer, lambda report: None)
    writer.end("interrupted")
    continued(folder, {})
    shutil.rmtree(teacher)
    run_folder(teacher, table, certain[1], FACE_MASK)
    with pytest.raises(UsageError, match=rf"with other labels than teacher.runs={teacher} holds now"):
        continued(folder, {})
    origin = folder / "origin.json"  # of a version that did not record teachers
    origin.write_text(json.dumps(json.loads(origin.read_text()) | {"label_files": {}}))
    continued(folder, {})


def test_photos_with_pseudo_labels_keep_these(people):
    config = parse({**TINY, "teacher": {"_name": "out_of_fold", "runs": "."}})
    table = read_train(people).table
    pseudo = table.head(2).assign(label=[3, 4]).set_axis([len(table), len(table) + 1])
    start = recipe.Start(FACE_MASK, table, None, None, None, None, taught=np.full((len(table), 18), 1 / 18))
    some = pd.concat([table.iloc[[5]], pseudo])
    targets = recipe._soften(config, start, some)(torch.tensor(some["label"].to_numpy()), np.arange(3))
    assert targets[1:].argmax(1).tolist() == [3, 4] and (targets[1:].max(1).values == 1).all()
    assert float(targets[0].max()) == pytest.approx(0.5 + 0.5 / 18)


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_takes_the_mixed_targets(name):
    targets = softened(np.full((4, 18), 1 / 18), 0.5)(torch.tensor([0, 5, 9, 17]), np.arange(4))
    loss = LOSSES[name](torch.arange(1, 19))(torch.randn(4, 18, requires_grad=True), targets)
    assert loss.isfinite()
