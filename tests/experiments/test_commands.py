"""What the commands of experiments print."""

from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from common.machine import EXPERIMENTS
from experiments import check, run
from experiments.__main__ import app
from experiments.hours import within
from experiments.plan import Plan
from experiments.progress import State
from experiments.run import ExperimentResult
from experiments.saved import resume
from experiments.server import Server
from tests.experiments.saved.saved_experiment import SavedExperiment


@pytest.mark.parametrize(
    ("folder", "name"), [(EXPERIMENTS / "abc", "abc"), (Path("/else where/abc"), "'/else where/abc'")]
)
def test_the_next_commands_name_the_experiments_own_folder_and_photos(folder, name, monkeypatch, tmp_path):
    result = ExperimentResult("abc", folder, State(1), "nnictl view abc", "my photos")
    monkeypatch.setattr(check, "check", lambda *given: None)
    monkeypatch.setattr(run, "run_plan", lambda *given: result)
    (tmp_path / "x.yaml").touch()
    printed = CliRunner().invoke(app, ["run", str(tmp_path / "x.yaml")]).output
    assert f"python -m analysis trials {name}\n" in printed
    assert f"export-best-and-retrain {name} --data 'my photos' --out out/final" in printed


def test_resume_retrains_if_it_is_asked_to(monkeypatch, tmp_path):
    """An interrupted run names the command that does what was asked for."""
    plan = Plan(tmp_path / "x.yaml", {}, {}, "python -m trial", (), retrains=True)
    words = run.next_steps(Server("abc", 8080, tmp_path), State(1), plan)
    assert f"python -m experiments resume {tmp_path} --with-retrain" in words
    assert "--with-retrain" not in run.next_steps(
        Server("abc", 8080, tmp_path), State(1), replace(plan, retrains=False)
    )
    one = SavedExperiment(tmp_path)
    result = ExperimentResult(one.folder.name, one.folder, State(1), "nnictl view abc", "my photos")
    trained = []
    monkeypatch.setattr(resume, "resume_experiment", lambda *given: result)
    monkeypatch.setattr(within, "retrain_best", lambda *given: trained.append(given))
    printed = CliRunner().invoke(app, ["resume", str(one.folder), "--with-retrain"]).output
    assert f"the result:  {one.folder / 'final'}" in printed
    ((experiment, *rest),) = trained
    assert (experiment.name, rest[:2]) == ("mine", [Path("my photos"), one.folder / "final"])


def test_a_search_on_other_machines_retrains_here(monkeypatch, tmp_path):
    """As after a resume; hours are planned by trials on this machine."""
    yaml, machines = tmp_path / "x.yaml", tmp_path / "machines.yaml"
    yaml.touch()
    result = ExperimentResult("abc", tmp_path, State(1), "nnictl view abc", "my photos")
    checked, ran, trained = [], [], []
    plan = Plan(yaml, {}, {}, "python -m trial", ())
    monkeypatch.setattr(within, "check", lambda *given: checked.append(given) or plan)
    monkeypatch.setattr(within, "run_plan", lambda *given: ran.append(given) or result)
    monkeypatch.setattr(within, "retrain_best", lambda *given: trained.append(given))
    command = ["run", str(yaml), "--machines", str(machines), "--without-failing"]
    printed = CliRunner().invoke(app, [*command, "--with-retrain"]).output
    assert f"the result:  {tmp_path / 'final'}" in printed
    assert checked[0][-2:] == (machines, True) and ran[0][0].retrains and len(trained) == 1
    done = CliRunner().invoke(app, [*command, "--hours", "1"])
    assert done.exit_code == 2 and "can't be combined with --hours" in done.output and len(checked) == 1


def test_the_help_shows_each_summary_whole(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    lines = CliRunner().invoke(app, ["--help"]).output.partition("Commands:\n")[2].splitlines()
    summaries = dict(line.split(maxsplit=1) for line in lines)
    assert {"list", "clean", "dashboard"} <= summaries.keys()
    assert all(text.endswith(".") and not text.endswith("...") for text in summaries.values()), summaries


@pytest.mark.parametrize("command", ["run", "resume"])
@pytest.mark.parametrize("hours", ["0", "-1", "nan", "inf", "1e300", "two"])
def test_hours_that_are_none(command, hours):
    done = CliRunner().invoke(app, [command, "x", "--hours", hours])
    assert done.exit_code == 2
    assert "--hours" in done.output
