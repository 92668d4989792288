import re
import socket
import subprocess
import sys
from dataclasses import replace

import pytest

from common.errors import UsageError
from common.machine import PROJECT
from experiments.check import check, end_notes, lucky_notes
from experiments.plan import read_plan
from tests.analysis import example_search
from tests.analysis.fake_run import untrained
from tests.experiments import conftest
from tests.experiments.conftest import give

pytest.importorskip("nni")


def errors(*arguments, **named):
    return "\n".join(conftest.errors(*arguments, **named))


@pytest.mark.slow
def test_a_good_one_has_none(mine, people):
    plan = check(mine.yaml, people, settings=["epochs=1"])
    assert plan.name == "mine"
    assert plan.fixed[-2:] == ("epochs=1", f"data={people}")
    assert "epochs=2" not in plan.fixed


@pytest.mark.usefixtures("fast")
def test_a_search_that_pauses_and_that_only_nnis_number_ends_gets_a_note(mine, people):
    """NNI counts each part of a paused training, and ends the search while some lie paused."""
    mine.change("maxTrialNumber: 2", "maxTrialNumber: 12")
    mine.change(
        "tuner:", f"assessor: {{className: tuners.search.PauseAndGoOn, codeDirectory: {PROJECT}}}\ntuner:"
    )
    plan = check(mine.yaml, people)
    assert "maxTrialNumber=12 may end this search" in plan.notes[0] and "{trainings: 3}" in plan.notes[0]
    assert plan.config["maxTrialNumber"] == plan.without_pauses().config["maxTrialNumber"] == 12
    mine.change("maxTrialNumber: 12", "maxTrialNumber: 12\nmaxExperimentDuration: 2h")
    assert end_notes(read_plan(mine.yaml)[0]) == []
    mine.change("\nmaxExperimentDuration: 2h", "")
    mine.change("{seed: 1}", "{seed: 1, hours: 2}")
    assert end_notes(read_plan(mine.yaml)[0]) == []
    mine.change("hours: 2", "trainings: 3")
    assert end_notes(read_plan(mine.yaml)[0]) == []
    mine.change("trainings: 3", "trainings: 12")
    (note,) = end_notes(read_plan(mine.yaml)[0])
    assert note.endswith("may end this search before 12 trainings are spent; give maxTrialNumber: 48")


def test_a_seed_that_is_searched_by_a_model_gets_a_note(mine):
    """Trials are ranked one by one then, the luckiest seed first."""
    plan = read_plan(mine.yaml)[0]
    seeds, rate = {"_type": "choice", "_value": [0, 1]}, plan.space["learning_rate"]
    both = replace(plan, space={"learning_rate": rate, "seed": seeds})
    (note,) = lucky_notes(both)
    assert "every seed, so the best trial may be a lucky one: fix seed (--set)" in note
    grids = [{"name": "GridSearch"}, plan.with_tuner(sampler="grid").config["tuner"]]
    others = [replace(both, config=plan.config | {"tuner": tuner}) for tuner in grids]
    one = {"learning_rate": rate, "fold": {"_type": "choice", "_value": ["all"]}}
    others += [plan, replace(plan, space={"seed": seeds}), replace(plan, space=one)]
    assert [lucky_notes(other) for other in others] == [[]] * 5


@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize("assessor", ["CannotWin", "PauseAndGoOn"])
def test_a_number_of_trials_replaces_the_yamls(mine, people, assessor):
    stops = f"assessor: {{className: tuners.search.{assessor}, codeDirectory: {PROJECT}}}\ntuner:"
    mine.change("tuner:", stops)
    mine.change("{seed: 1}", "{seed: 1, trainings: 40}")
    plan = check(mine.yaml, people, trials=60)
    whole = assessor == "PauseAndGoOn"
    assert plan.number == 60
    assert plan.config["maxTrialNumber"] == (4 * 60 if whole else 60)
    assert plan.config["tuner"]["classArgs"].get("trainings") == (60 if whole else None)
    assert "trainings" not in plan.without_pauses().config["tuner"]["classArgs"]


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"assessor": "Medianstop"}, "assessor: 'Medianstop' is not a mapping"),
        ({"tuner": {"name": "Random", "classArgs": ["a"]}}, "tuner.classArgs: ['a'] is not a mapping"),
    ],
)
def test_a_number_of_trials_beside_a_wrong_tuner_or_assessor(mine, keys, said):
    give(mine, **keys)
    with pytest.raises(UsageError, match=re.escape(said)):
        check(mine.yaml, trials=4)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "maxTrialNumber: 2",
            "maxTrialNumbr: 2",
            "unknown key 'maxTrialNumbr'; did you mean maxTrialNumber?",
        ),
        (
            "maxTrialNumber: 2",
            "maxTrialNumber: 1e1",
            "maxTrialNumber: '1e1' is not an integer, 1 or more; write 10",
        ),
        ("maxTrialNumber: 2", "maxExperimentDuration: 2 hours", "maxExperimentDuration: '2 hours' is not"),
        ("maxTrialNumber: 2", "trialConcurrency: 2", "trialConcurrency is given twice"),
        ("trialConcurrency: 2", "", "trialConcurrency: is missing"),
        ("space.json", "spaces.json", "there is no"),
        ("searchSpaceFile: space.json", "", "exactly one of searchSpaceFile and searchSpace"),
        ("search.Search", "search.Serch", "did you mean Search?"),
        ("tuners.search", "tuners.serch", "className: tuners.serch.Search: there is no"),
        ("{seed: 1}", "{sede: 1}", "unknown argument 'sede'; did you mean seed?"),
        ("tuner: {", "tuner: {name: TPE, ", "exactly one of name"),
        ("className", "klassName", "unknown key 'klassName'; did you mean className?"),
        ("python -m trial", "python trial.py", "is not 'python -m trial key=value ...'"),
        ("epochs=2", "epochs", "'epochs' is not key=value"),
        (
            "epochs=2",
            "epochs=2 group=/([a-z]+)_",
            "trialCommand: the shell takes 'group=/([a-z]+)_' apart; write it in quotes, such as 'group=/(",
        ),
        (
            "epochs=2",
            "epochs=2 learning_rate=0.1",
            "learning_rate is given by both the command and the search",
        ),
        ("epochs=2", "epocs=2", "did you mean epochs?"),
        (
            "epochs=2",
            "epochs=2 out=elsewhere",
            "out=elsewhere: a trial of an experiment records in NNI's folder",
        ),
        (f"trialCodeDirectory: {PROJECT}", "trialCodeDirectory: .", "it has no trial/"),
        ("experimentWorkingDirectory: runs", "experimentWorkingDirectory: my runs", "' ' is in the path"),
        ("experimentName: mine", "experimentName: [", "mine.yaml: while parsing"),
    ],
)
def test_one_mistake_in_the_yaml(mine, people, old, new, said):
    assert said in errors(mine.change(old, new), people)


@pytest.mark.parametrize(
    ("space", "said"),
    [
        ('{"learning_rate": ', "space.json: Expecting value: line 1"),
        ('{"lr": {"_type": "choice", "_value": [1]}}', "unknown key 'lr'"),
        ('{"model": {"_type": "choice", "_value": ["resnet43"]}}', "did you mean resnet34?"),
        ('{"loss": {"_type": "choice", "_value": ["focal", "focul"]}}', "did you mean focal?"),
        (
            '{"learning_rate": {"_type": "choice", "_value": ["1e-4"]}}',
            "'1e-4' is text, not a number; write 0.0001",
        ),
        (
            '{"metric": {"_type": "choice", "_value": ["accuracy", "macro_f1"]}}',
            "metric: is what the search optimises, it can't be searched",
        ),
        ('{"fold": {"_type": "uniform", "_value": [0, 4]}}', "fold: 1.52 is not an integer"),
        (
            '{"fold": {"_type": "choice", "_value": [0]}, "fold": {"_type": "choice", "_value": [1]}}',
            "given twice",
        ),
    ],
)
def test_one_mistake_in_the_space(mine, people, space, said):
    mine.space.write_text(space)
    mine.change(" model=test_resnet.r160_in1k", "")
    assert said in errors(mine.yaml, people)


def test_pseudo_labels_that_no_trial_can_use_are_refused(mine, people, tmp_path):
    labels = tmp_path / "labels.csv"
    labels.write_text("photo,class,held_out\na.jpg,wear male <30,fold 0 of 5 by seed 0\n")
    mine.change("epochs=2", f"epochs=2 pseudo_labels={labels}")
    said = errors(mine.yaml, people, settings=["fold=all"])
    assert "pseudo_labels: with fold=all each fold would need" in said
    said = errors(mine.yaml, people, settings=["seed=1"])
    assert said.count("held out fold 0 of 5 by seed 0, this run validates on fold 0 of 5 by seed 1") == 1
    assert errors(mine.yaml, people) == (f"{labels}: 1 of 1 photos are not among those to predict: a.jpg")


def test_a_teacher_that_no_trial_can_learn_of_is_refused_once(mine, people, tmp_path):
    untrained(tmp_path / "teacher", validation=example_search.validation(30))
    mine.change("epochs=2", f"epochs=2 teacher=out_of_fold teacher.runs={tmp_path / 'teacher'}")
    said = errors(mine.yaml, people)
    assert said.startswith(f"teacher.runs: {tmp_path / 'teacher'}: predicts ") and "\n" not in said


def test_an_impossible_pair_is_found_among_possible_values(mine, people):
    mine.space.write_text(
        '{"model": {"_type": "choice", "_value": ["resnet18", "mixer_b16_224"]},'
        '"image_size": {"_type": "choice", "_value": ["64x48", "224x224"]}}'
    )
    mine.change(" model=test_resnet.r160_in1k", "")
    mine.change(" image_size=32x32", "")
    assert "image_size=64x48: mixer_b16_224 takes only 224x224" in errors(mine.yaml, people)


def test_all_mistakes_at_once(mine, tmp_path):
    mine.change("maxTrialNumber", "maxTrailNumber")
    mine.change("epochs=2", "epochs=two weights=hub")
    mine.change("weights=none ", "")
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        said = errors(mine.yaml, tmp_path / "nowhere", port, ["loss=focul"])
    for part in (
        "maxTrailNumber",
        "epochs: 'two'",
        "loss 'focul'",
        "weights=hub",
        "ln -s",
        f"--port {port}: is in use",
    ):
        assert part in said


def test_features_that_the_cache_can_not_hold_are_refused_before_the_search(mine, people):
    path = mine.change("epochs=2", "epochs=2 features=cached features.views=flip_crops cache_limit=0.0001")
    said = errors(path, people)
    assert "in 12 views need" in said and "over the limit of 0.1 MiB" in said


def test_weights_that_are_missing_are_named_one_by_one_and_the_ways_out_once(mine, people, monkeypatch):
    monkeypatch.setattr("trial.models.weights.FETCHED", mine.folder / "weights")
    mine.change("weights=none ", "weights=hub ")
    mine.change("model=test_resnet.r160_in1k ", "")
    mine.space.write_text('{"model": {"_type": "choice", "_value": ["test_vit", "resnet18"]}}')
    lines = errors(mine.yaml, people).splitlines()
    for line, name in zip(lines, ("test_vit.r160_in1k", "resnet18.a1_in1k"), strict=False):
        assert line.startswith(f"weights=hub: weights/{name}.safetensors is missing; run: python -m trial")
    assert lines[2].startswith("all weights at once: ")
    for way in (
        "weights=package (for tf_efficientnet_lite0,",
        "weights=FILE",
        "weights=none",
        "--set weights=",
    ):
        assert way in lines[3]
    assert len(lines) == 4


def test_a_mistake_in_one_field_of_the_space_does_not_hide_those_in_others(mine, people):
    mine.space.write_text(
        """{"learning_rate": {"_type": "uniform", "_value": [2, 1]},
            "modle": {"_type": "choice"},
            "model": {"_type": "choice", "_value": ["resnet43", "resnet18"]},
            "loss": {"_type": "choice", "_value": [
              {"_name": "focal", "gamma": {"_type": "uniform", "_value": ["1", 2]}}, {"_name": "focul"}]},
            "optimizer": {"_type": "choise", "_value": ["adam"]}}"""
    )
    mine.change(" model=test_resnet.r160_in1k", "")
    mine.change("weights=none", "weights=none schedule=onecicle")
    said = errors(mine.yaml, people)
    for part in (
        "learning_rate: uniform from 2 to 1 is empty",
        "modle: {'_type': 'choice'} has no _type and _value",
        "unknown key 'modle'; did you mean model?",
        "did you mean resnet34?",
        "loss.focal.gamma: '1' is text, not a number; write 1",
        "did you mean focal?",
        "optimizer: unknown _type 'choise'; did you mean choice?",
        "did you mean onecycle?",
    ):
        assert part in said, said


def test_it_says_what_it_searches(mine, people):
    mine.space.write_text(
        """{"learning_rate": {"_type": "loguniform", "_value": [0.001, 0.01]},
            "weight_decay": {"_type": "quniform", "_value": [0, 0.1, 0.02]},
            "seed": {"_type": "randint", "_value": [0, 3]},
            "clip_norm": {"_type": "normal", "_value": [2, 0.1]},
            "augment": {"_type": "choice", "_value": ["none", [{"_name": "flip", "p": 0.5}, {"_name": "noise"}]]},
            "loss": {"_type": "choice", "_value": [
              {"_name": "cross_entropy"},
              {"_name": "focal", "gamma": {"_type": "uniform", "_value": [1, 3]}}]}}"""
    )
    mine.change("{seed: 1}", "{seed: 1, hours: 1.5}")
    plan = check(mine.yaml, people, settings=["seed=1", "epochs=1"])
    *searched, known = plan.summary()
    assert known.startswith(
        "known good recipes that these trials can't train as they are: baseline_resnet34 ("
    )
    assert searched == [
        "it searches 5 fields by Search: 2 trials, 2 at a time, for 1.5 hours",
        "  learning_rate  0.001 to 0.01, by its logarithm",
        "  weight_decay   0 to 0.1, in steps of 0.02",
        "  clip_norm      mean 2, standard deviation 0.1",
        "  augment        none, [flip (p: 0.5), noise]",
        "  loss           cross_entropy, focal (gamma: 1 to 3)",
        "--set seed=1 takes seed out of the search space: all trials have it",
    ]


def test_a_photo_that_is_none_is_named(mine, people, tmp_path):
    import shutil

    copy = shutil.copytree(people, tmp_path / "photos")
    photo = next(copy.glob("train/images/*/*"))
    photo.write_bytes(b"no photo")
    assert photo.name in errors(mine.yaml, copy)


def test_more_folds_than_people_are_refused(mine, people):
    """Otherwise every trial would."""
    said = errors(mine.yaml, people, settings=["folds=31"])
    assert said == "folds=31: must be from 2 to the number of groups (30)"


def test_corrections_that_fit_nobody_are_named(mine, people, tmp_path):
    known = tmp_path / "known.csv"
    known.write_text("id,field,recorded,corrected\nnobody,gender,male,female\n")
    said = errors(mine.yaml, people, settings=[f"corrections={known}"])
    assert said == f"{known} line 2: no person 'nobody' in this data set"


@pytest.mark.slow
def test_the_command_says_it_in_one_go(tmp_path):
    command = [sys.executable, "-m", "experiments", "check", str(tmp_path / "none.yaml"), "--port", "80"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 2
    assert "no such file" in done.stderr
    assert "--port 80" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_misspelt_field_is_the_only_mistake(mine, people, monkeypatch):
    """Its nearest name was looked for with the default recipe, whose weights are missing here."""
    monkeypatch.setattr("trial.models.weights.FETCHED", mine.folder / "weights")
    mine.space.write_text('{"learnin_rate": {"_type": "uniform", "_value": [0.1, 0.2]}}')
    assert errors(mine.yaml, people) == "unknown key 'learnin_rate'; did you mean learning_rate?"


@pytest.mark.parametrize("values", ['[1, "competition"]', '[{"_name": "competition"}]'])
def test_corrections_that_are_not_text_are_a_sentence(mine, people, values):
    mine.space.write_text(f'{{"corrections": {{"_type": "choice", "_value": {values}}}}}')
    assert "is not a word" in errors(mine.yaml, people)


def test_a_grid_ends_where_the_number_of_trials_or_a_setting_ends_it(mine, fast):
    conftest.give(mine, tuner={"name": "GridSearch"}, maxTrialNumber=None)
    mine.space.write_text(
        """{"learning_rate": {"_type": "uniform", "_value": [0.001, 0.01]},
            "seed": {"_type": "choice", "_value": [0, 1]}}"""
    )
    assert "GridSearch never ends" in errors(mine.yaml)
    assert check(mine.yaml, settings=["learning_rate=0.001"]).space.keys() == {"seed"}
    assert check(mine.yaml, trials=4).config["maxTrialNumber"] == 4
