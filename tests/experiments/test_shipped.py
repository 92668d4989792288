"""Every shipped experiment is a test case; what lies beside them and is not in git is a person's own."""

import math
from pathlib import Path

import pytest
import yaml

from common import machine
from common.machine import PROJECT
from dataset.task import Task
from experiments.check import plan_errors, recipe_errors
from experiments.checks.rehearsal import TRIALS
from experiments.checks.space import covering, space_errors
from experiments.checks.yaml_keys import key_errors
from experiments.plan import EXPERIMENTS, read_plan
from trial.commands.arguments import parse_arguments
from trial.config import parse, task_errors

SHIPPED = machine.tracked("experiments", "*.yaml")
pytestmark = pytest.mark.skipif(not SHIPPED, reason="without git a person's own files may be among them")
shipped = pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)


def test_each_question_has_one():
    questions = """augmentation augmentation_strength baseline_models borders crop cross_validation demo demo_photos
        ensembles final_resnet34 full heads image_size learning_rate loss mixing models rare_classes training"""
    assert set(questions.split()) <= {path.stem for path in SHIPPED}


@shipped
def test_opens_with_question_command_cost_and_what_to_expect(path):
    lines = path.read_text().splitlines()
    for line, word in zip(lines, ("Question", "Command", "Cost", "Expect"), strict=False):
        assert line.startswith(f"# {word}: ")
        assert len(line) > len(word) + 10
    assert lines[0].endswith("?")


@shipped
def test_has_no_mistake(path):
    plan, errors = read_plan(path)
    errors += key_errors(plan.config) + space_errors(plan.space) + recipe_errors(plan, present=False)
    errors += plan_errors(plan)
    assert errors == []


@shipped
def test_suits_photos_without_factors_unless_it_asks_of_them(path):
    plan, _ = read_plan(path)
    pets = Task("pets", ("cat", "dog"), group="owner", groups="owners", rare=(1,))
    recipes = [parse(parse_arguments(plan.fixed, point), present=False) for point in covering(plan.space)]
    wanting = {error.split("=")[0] for recipe in recipes for error in task_errors(recipe, pets)}
    asking = {"heads": {"head"}, "borders": {"borders"}, "demo_faces": {"head.subclasses"}}
    assert wanting == asking.get(path.stem, set())


@shipped
def test_its_tuner_and_assessor_can_be_used(path):
    """As check does it, but in this process, which imports nni once."""
    pytest.importorskip("nni")
    from tuners.rehearse import rehearse

    plan, _ = read_plan(path)
    config = plan.effective()
    order = {
        "tuner": config["tuner"],
        "assessor": config.get("assessor"),
        "space": plan.space,
        "trials": TRIALS,
    }
    answer = rehearse(order)
    assert (answer["tuner"], answer["assessor"]) == ("", "")
    assert answer["points"]
    for point in answer["points"]:
        parse(parse_arguments(plan.fixed, point), present=False)


@shipped
def test_its_known_good_recipes_fit_its_space(path):
    pytest.importorskip("nni")
    from tuners.spaces.recipes import read_first

    plan, _ = read_plan(path)
    arguments = plan.config["tuner"].get("classArgs") or {}
    for one in read_first(arguments.get("first")):
        one.params(plan.space, arguments.get("default"))


SEARCHED = [path for path in SHIPPED if "GridSearch" not in path.read_text()]


def test_those_whose_space_is_large_search_by_tuners_search():
    assert SEARCHED
    for path in SHIPPED:
        config = read_plan(path)[0].config
        if path not in SEARCHED:  # all combinations of few options, and nothing that stops one
            assert config["tuner"] == {"name": "GridSearch"}
            assert "assessor" not in config
            continue
        assert config["tuner"]["className"] == "tuners.search.Search"
        assert config["tuner"]["classArgs"]["optimize_mode"] == "maximize", "NNI's page reads it"
        fixed = read_plan(path)[0].fixed
        if "epochs=1" in fixed:  # there is nothing to pause
            assert "assessor" not in config
            continue
        if "fold_order=one_by_one" in fixed:
            assert config["assessor"]["className"] == "tuners.folds.WorseOnFolds"
            continue
        assert config["assessor"]["className"] == "tuners.search.PauseAndGoOn"
        trainings = config["tuner"]["classArgs"]["trainings"]
        assert config["maxTrialNumber"] == 4 * trainings, "each part of a training may be a trial of NNI's"


@pytest.mark.slow
def test_the_model_chooses_all_but_three_recipes_of_the_full_search(monkeypatch):
    """As the YAML has it, with pauses, played on curves that rise to what the learning rate gives."""
    pytest.importorskip("nni")
    from nni.assessor import AssessResult

    from tuners.reports import Reported
    from tuners.search import PauseAndGoOn, Search

    monkeypatch.delenv("NNI_LOG_DIRECTORY", raising=False)
    plan, _ = read_plan(PROJECT / "experiments" / "full.yaml")
    tuner = Search(**plan.config["tuner"]["classArgs"])
    assessor, trained, ended = PauseAndGoOn(), {}, {}

    def reported(number, params, parent):
        curve = trained.get(str(number))
        return None if curve is None else Reported(
            str(number), ended.get(number, "RUNNING"), tuple(curve), seconds=float(len(curve)), epochs=15
        )  # fmt: skip

    tuner.reported = reported
    tuner.update_search_space(plan.space)
    number = 0
    while len(tuner.trials.rows) < 60:
        point = tuner.generate_parameters(number)
        final = 0.6 - 0.05 * abs(math.log(point["learning_rate"] / 0.0003))
        curve = trained[str(number)] = list(trained.get(point.get("parent"), []))
        ended[number] = "SUCCEEDED"
        for epoch in range(len(curve), 15):
            curve.append(final * (epoch + 1) / 15)
            if epoch < 14 and assessor.assess_trial(str(number), curve) is AssessResult.Bad:
                ended[number] = "EARLY_STOPPED"
                break
        if ended[number] == "SUCCEEDED":
            tuner.receive_trial_result(number, point, final)
        tuner.trial_end(number, ended[number] == "SUCCEEDED")
        number += 1
    by = [row.chosen_by for row in tuner.trials.rows.values()]
    assert by[:3] == ["default", "first", "first"]
    assert by.count("model") == 57, "as its header, docs/searching.md and CHANGELOG.md say"
    assert "paused" in {row.state for row in tuner.trials.rows.values()}


@shipped
def test_follows_the_rules_of_the_house(path):
    plan, _ = read_plan(path)
    assert plan.name == path.stem
    assert plan.code == PROJECT
    assert plan.runs == EXPERIMENTS
    assert plan.fixed[0] == "data=input"
    assert "trialGpuNumber" not in plan.config, "runs as it is with and without a GPU"
    assert plan.config["searchSpaceFile"] == f"../search_spaces/{path.stem}.json"


@shipped
def test_nni_takes_it(path, tmp_path):
    config = pytest.importorskip("nni.experiment.config").ExperimentConfig
    config.load(path).validate()
    plan, _ = read_plan(path)
    effective = tmp_path / "effective.yaml"
    effective.write_text(yaml.safe_dump(plan.with_settings(["data=/some 'where", "seed=3"]).effective()))
    read = config.load(effective)
    read.validate()
    assert read.search_space == {key: spec for key, spec in plan.space.items() if key != "seed"}
    assert Path(read.trial_code_directory) == PROJECT


def test_every_space_belongs_to_an_experiment():
    searched = {path.parent / read_plan(path)[0].config["searchSpaceFile"] for path in SHIPPED}
    assert set(machine.tracked("search_spaces", "*.json")) == {path.resolve() for path in searched}
