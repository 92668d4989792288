import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time

import psutil
import pytest

from common.machine import PROJECT
from dataset.read import read_eval
from tests import forked
from tests.analysis import example_search
from tests.analysis.fake_run import untrained
from tests.conftest import TINY
from trial.run_folder.predictions import scores_of
from trial.run_folder.record import RunFolder


def command(*arguments: str, **more) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "trial", *arguments],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=120,
        **more,
    )


def forked_command(*arguments: str) -> subprocess.CompletedProcess:
    """`command` without the imports, for what is not on them."""
    return forked.run("-m", "trial", *arguments)


def tiny(people, out, **values) -> list[str]:
    return [f"{key}={value}" for key, value in {**TINY, "data": people, "out": out, **values}.items()]


def children_seconds() -> float:
    """Of all cores, by the processes that have ended: how busy the machine is makes no difference."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_mistakes_are_refused_together_before_torch_is_imported():
    code = "import runpy, sys; sys.argv = ['trial', 'model=resnet43', 'lossy=1']\n"
    code += "try: runpy.run_module('trial', run_name='__main__')\n"
    code += "except SystemExit as end: print(end.code, [m for m in ('torch', 'timm', 'pandas') if m in sys.modules])"
    before = children_seconds()
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True)
    assert children_seconds() - before < 1
    assert done.stdout.strip() == "2 []"
    assert "resnet34" in done.stderr
    assert "lossy" in done.stderr
    assert "Traceback" not in done.stderr


def test_help_list_and_dry_run_say_what_there_is():
    assert "Example:" in command("--help").stdout
    assert "Example:" in command("weights", "--help").stdout
    named = json.loads(command("--list", "--json").stdout)
    assert {"model", "loss", "augment", "step", "optimizer", "schedule"} <= named.keys()
    listed = " ".join(command("--list").stdout.split())
    assert re.search(r" focal [A-Z].*\. \(gamma=2\) f1 ", listed)
    assert re.search(r" class_balanced [A-Z].*\. \(beta=0\.9999\) label_smoothing ", listed)
    assert re.search(r" random_erasing [A-Z].* \(min_area=0\.02, max_area=0\.33", listed)
    assert "batch_size=64" in listed
    assert named["metric"] == ["macro_f1", "balanced_accuracy", "accuracy", "log_loss"]
    assert "metric=macro_f1" in listed
    parsed = json.loads(command("--dry-run", "weights=none", "loss=focal", "loss.gamma=2").stdout)
    assert parsed["loss"] == {"_name": "focal", "gamma": 2.0}
    assert parsed["model"] == "resnet34"


@pytest.mark.slow
def test_a_recipe_file_is_trained_as_it_is_or_changed():
    file = str(PROJECT / "recipes" / "cpu_frozen.json")
    parsed = json.loads(forked_command("--dry-run", "--recipe", file, "fold=all", "init.balance=0.5").stdout)
    assert parsed["fold"] == "all" and parsed["model"] == "tf_efficientnet_lite0"
    assert parsed["init"]["shrinkage"] == 0.3 and parsed["init"]["balance"] == 0.5
    done = forked_command("--recipe", file, "--continue", ".")
    assert done.returncode == 2 and "--recipe: is for a run of its own" in done.stderr
    assert forked_command("--recipe", "none.json").returncode == 2


@pytest.mark.slow
def test_a_dry_run_of_going_on_shows_the_runs_recipe(people, tmp_path):
    words = tiny(people, tmp_path / "run", schedule="constant")
    assert forked_command(*words, "--keep-checkpoint").returncode == 0
    done = forked_command("--continue", str(tmp_path / "run"), "--dry-run", "epochs=5")
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert (shown["model"], shown["epochs"]) == (TINY["model"], 5)
    refused = forked_command("--continue", str(tmp_path / "run"), "--dry-run", "loss=focal")
    assert refused.returncode == 2 and "--continue goes on with the same recipe" in refused.stderr


@pytest.mark.slow
def test_a_dry_run_refuses_features_that_the_cache_can_not_hold(people):
    cached = ["weights=none", "model=test_resnet", "image_size=64x64", "features=cached", f"data={people}"]
    assert forked_command("--dry-run", *cached).returncode == 0
    done = forked_command("--dry-run", *cached, "cache_limit=0.00001")
    assert done.returncode == 2
    assert "in 2 views need" in done.stderr and "larger cache_limit may help" in done.stderr


def test_a_dry_run_compares_the_recipe_with_the_photos_that_are_here(people, tmp_path):
    words = ["--dry-run", "weights=none"]
    done = forked_command(*words, f"data={people}", "folds=500")
    assert done.returncode == 2 and "folds=500: must be from 2 to the number of groups (30)" in done.stderr
    for number in range(8):
        photo = tmp_path / "set" / "train" / "ab"[number % 2] / f"{number}.jpg"
        photo.parent.mkdir(parents=True, exist_ok=True)
        photo.touch()
    words.append(f"data={tmp_path / 'set'}")
    done = forked_command(*words, "head=factors")
    assert done.returncode == 2 and "head=factors: this set has no factors" in done.stderr
    assert forked_command(*words).returncode == 0


def test_pseudo_labels_that_can_not_be_used_are_refused_before_a_run_begins(people, tmp_path):
    labels = tmp_path / "labels.csv"
    line = "photo,class,held_out\n{},wear male <30,fold 0 of 5 by seed 0\n"
    labels.write_text(line.format("a.jpg"))
    words = tiny(people, tmp_path / "run", pseudo_labels=labels)
    for more, said in (
        (["fold=all"], "pseudo_labels: with fold=all each fold would need"),
        (["fold=1"], "held out fold 0 of 5 by seed 0, this run validates on fold 1 of 5"),
    ):
        for dry in ([], ["--dry-run"]):
            done = forked_command(*words, *more, *dry)
            assert done.returncode == 2 and said in done.stderr
    done = forked_command(*words, "--dry-run")
    assert done.returncode == 2 and "1 of 1 photos are not among those to predict: a.jpg" in done.stderr
    labels.write_text(line.format(read_eval(people)["photo"].iloc[0]))
    assert forked_command(*words, "--dry-run").returncode == 0
    assert not (tmp_path / "run").exists()


def test_a_dry_run_refuses_a_teacher_and_corrections_that_no_run_can_use(people, tmp_path):
    untrained(tmp_path / "teacher", validation=example_search.validation(30))
    corrections = tmp_path / "known.csv"
    words = tiny(people, tmp_path / "run", corrections=corrections)
    for text, said in (
        ("id,field,recorded,corrected\nnobody,gender,male,female\n", "no person 'nobody' in this data set"),
        ("id,field\nx,y\n", "no column 'recorded'"),
    ):
        corrections.write_text(text)
        done = forked_command(*words, "--dry-run")
        assert done.returncode == 2 and said in done.stderr
    taught = ["teacher=out_of_fold", f"teacher.runs={tmp_path / 'teacher'}", "--dry-run"]
    done = forked_command(*tiny(people, tmp_path / "run"), *taught)
    assert done.returncode == 2 and "training photos not out of fold, first " in done.stderr


@pytest.mark.slow
def test_a_run_leaves_everything_in_its_folder(people, tmp_path):
    done = command(*tiny(people, tmp_path / "run"))
    assert done.returncode == 0, done.stderr
    assert str(tmp_path / "run") in done.stdout
    run = RunFolder(tmp_path / "run")
    assert run.status()["state"] == "done"
    best = run.epochs()["macro_f1"].max()
    assert re.search(
        rf"^best epoch [12] of 2, on \d+ people held out: macro-F1 {best:.4f}", done.stdout, re.M
    )
    assert run.status()["macro_f1"] == pytest.approx(best)
    assert len(run.epochs()) == 2
    table = run.validation()
    assert list(table.columns) == ["photo", "group", "fold", "label", *(f"p{n:02d}" for n in range(18))]
    assert run.origin()["data_fingerprint"]
    assert run.origin()["versions"]["torch"]
    again = forked_command(*tiny(people, tmp_path / "run"))
    assert again.returncode == 2
    assert "already holds config.json; choose another folder" in again.stderr


@pytest.mark.slow
def test_every_line_of_a_run_names_the_metric(people, tmp_path):
    done = forked_command(*tiny(people, tmp_path / "run", metric="log_loss", fold="all", folds=2))
    assert done.returncode == 0, done.stderr
    run = RunFolder(tmp_path / "run")
    curve, status = run.curve(), run.status()
    lines = done.stdout.splitlines()
    assert "2 folds: the tuner gets their mean negative log loss after each epoch" in lines[1]
    for line, epoch in zip(lines[2:4], curve.itertuples(), strict=True):
        assert f"negative log loss {epoch.negative_log_loss:.4f}  macro-F1 {epoch.macro_f1:.4f}" in line
    assert (
        f": negative log loss {status['score']:.4f}  macro-F1 {status['macro_f1']:.4f}  accuracy" in lines[4]
    )


def test_an_unknown_metric_is_refused_with_the_nearest():
    done = forked_command("metric=balanced_acuracy", "--dry-run")
    assert done.returncode == 2
    assert "unknown metric 'balanced_acuracy'; did you mean balanced_accuracy?" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("order", ["lockstep", "one_by_one"])
def test_all_folds_end_with_their_score_out_of_fold(people, tmp_path, order):
    done = forked_command(*tiny(people, tmp_path / "run", fold="all", folds=3, fold_order=order))
    assert done.returncode == 0, done.stderr
    last = done.stdout.splitlines()[-2]
    scores = scores_of(RunFolder(tmp_path / "run").validation())
    assert last.startswith("out of fold, over all 30 people, each predicted by the network that did not see")
    assert last.endswith(f"macro-F1 {scores.macro_f1:.4f}  accuracy {scores.accuracy:.4f}")


@pytest.mark.slow
def test_albumentations_steps_work_end_to_end_and_are_kept_with_their_numbers(people, tmp_path):
    steps = [{"_name": "flip", "p": 0.5}, {"_name": "GaussianBlur", "blur_limit": [3, 5], "p": 0.3}]
    done = forked_command(*tiny(people, tmp_path / "run", epochs=1, augment=json.dumps(steps)))
    assert done.returncode == 0, done.stderr
    kept = json.loads((tmp_path / "run" / "config.json").read_text())["augment"]
    assert kept == {"_name": "flip+GaussianBlur", "steps": [{**step, "on": "photo"} for step in steps]}
    assert RunFolder(tmp_path / "run").config().augment.name == "flip+GaussianBlur"


@pytest.mark.slow
def test_numbers_that_albumentations_refuses_are_refused_in_words(people, tmp_path):
    steps = json.dumps([{"_name": "GaussianBlur", "blur_limit": "wide"}])
    done = forked_command(*tiny(people, tmp_path / "run", augment=steps))
    assert done.returncode == 2, done.stderr
    assert "GaussianBlur" in done.stderr
    assert "Traceback" not in done.stderr
    assert RunFolder(tmp_path / "run").status()["state"] == "failed"


@pytest.mark.slow
def test_early_stopping_by_patience_ends_done(people, tmp_path):
    done = forked_command(*tiny(people, tmp_path / "run", epochs=30, patience=1, learning_rate=1e-9))
    assert done.returncode == 0, done.stderr
    assert len(RunFolder(tmp_path / "run").epochs()) < 30
    assert RunFolder(tmp_path / "run").status()["state"] == "done"


def test_a_missing_data_folder_says_how_to_make_one(tmp_path):
    done = forked_command(*tiny(tmp_path / "nowhere", tmp_path / "run"))
    assert done.returncode == 2
    assert "python -m dataset synthetic" in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_run_that_fails_says_why_in_its_status(people, tmp_path):
    done = forked_command(*tiny(people, tmp_path / "run", learning_rate=1e30, optimizer="sgd"))
    assert done.returncode == 1
    status = RunFolder(tmp_path / "run").status()
    assert status["state"] == "failed"
    assert "loss is nan" in status["reason"] or "loss is inf" in status["reason"]


@pytest.mark.slow
def test_a_run_with_workers_ends_when_it_fails(people, tmp_path):
    """They block SIGTERM, by which Python would end them before it waits for them."""
    data = shutil.copytree(people, tmp_path / "set")
    for photo in data.glob("train/images/*/mask1.*"):
        photo.write_bytes(b"text")
    steps = json.dumps([{"_name": "flip", "on": "photo"}])
    arguments = tiny(data, tmp_path / "run", workers=2, augment=steps)
    process = forked.Forked("-m", "trial", *arguments)
    try:
        _, said = process.communicate(timeout=60)
    finally:
        for child in psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []:
            child.kill()
        process.kill()
    assert process.returncode == 2 and "Traceback" not in said
    assert "mask1" in said and "not an image" in said


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_sigterm_is_heard_within_two_seconds_and_leaves_no_worker(people, tmp_path, workers):
    steps = json.dumps([{"_name": "flip", "on": "photo"}])  # what workers are for
    arguments = tiny(people, tmp_path / "run", epochs=5000, workers=workers, augment=steps)
    process = forked.Forked("-m", "trial", *arguments)
    try:
        end = time.monotonic() + 60
        while RunFolder(tmp_path / "run").status().get("macro_f1") is None and time.monotonic() < end:
            time.sleep(0.1)
        children = psutil.Process(process.pid).children(recursive=True)
        assert len(children) >= workers
        started = time.monotonic()
        # To the whole tree, as NNI does.
        for one in [*children, psutil.Process(process.pid)]:
            os.kill(one.pid, signal.SIGTERM)
        process.wait(5)
        assert time.monotonic() - started < 2
        assert not psutil.wait_procs(children, timeout=3)[1]
    finally:
        process.kill()
    status = RunFolder(tmp_path / "run").status()
    assert status["state"] == "interrupted"
    assert status["macro_f1"] is not None
