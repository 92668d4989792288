"""Every shipped experiment is a test case."""

from pathlib import Path

import pytest
import yaml

from dataset.machine import PROJECT
from experiments.check import plan_faults, recipe_faults, rehearsal_faults
from experiments.plan import EXPERIMENTS, read_plan
from experiments.space import space_faults
from experiments.yaml_keys import key_faults

SHIPPED = sorted((PROJECT / "experiments").glob("*.yaml"))
shipped = pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)


def test_there_is_one_for_each_question():
    named = """augmentation augmentation_strength borders crop cross_validation demo demo_photos ensembles final_resnet34 full heads
        image_size learning_rate loss mixing models rare_classes seed_models training"""
    assert set(named.split()) == {path.stem for path in SHIPPED}


@shipped
def test_opens_with_question_command_cost_and_what_to_expect(path):
    lines = path.read_text().splitlines()
    for line, word in zip(lines, ("Question", "Command", "Cost", "Expect"), strict=False):
        assert line.startswith(f"# {word}: ")
        assert len(line) > len(word) + 10
    assert lines[0].endswith("?")


@shipped
def test_has_no_mistake(path):
    plan, faults = read_plan(path)
    faults += key_faults(plan.config) + space_faults(plan.space) + recipe_faults(plan, present=False)
    faults += plan_faults(plan)
    assert faults == []


@pytest.mark.slow
@shipped
def test_its_tuner_and_assessor_can_be_used(path):
    pytest.importorskip("nni")
    assert rehearsal_faults(read_plan(path)[0]) == []


@shipped
def test_follows_the_houses_rules(path):
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
    assert {p.stem for p in (PROJECT / "search_spaces").glob("*.json")} == {p.stem for p in SHIPPED}
