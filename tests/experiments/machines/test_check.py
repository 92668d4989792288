"""An experiment on other machines: what its plan becomes, and what is refused before they are asked."""

import pytest

from common.errors import UsageError
from experiments import check as checking
from experiments.check import check
from experiments.machines.listed import Machine, write_machines
from experiments.plan import read_plan
from tests.experiments.conftest import PROJECT, errors, give

pytest.importorskip("nni")
OURS = {"codeDirectory": str(PROJECT)}
PAUSES = {
    "tuner": {"className": "tuners.search.Search", "classArgs": {"trainings": 6}, **OURS},
    "assessor": {"className": "tuners.search.PauseAndGoOn", **OURS},
    "maxTrialNumber": 24,
}


@pytest.mark.slow
def test_the_plan_on_two_machines(sshd, mine, fast, people, tmp_path):
    machines = sshd.machine("one"), sshd.machine("two", trials=2)
    write_machines(tmp_path / "machines.yaml", machines)
    plan = check(give(mine, **PAUSES), people, machines=tmp_path / "machines.yaml")
    assert (plan.number, plan.config["trialConcurrency"]) == (6, 3)
    assert not plan.pauses
    config = plan.effective()
    assert config["assessor"]["className"] == "tuners.search.CannotWin"
    assert config["trainingService"]["platform"] == "remote"
    assert config["trainingService"]["reuseMode"] is False
    hosts = [(one["host"], one["port"]) for one in config["trainingService"]["machineList"]]
    assert hosts == [("127.0.0.1", sshd.port)] * 2
    assert config["nniManagerIp"] == "127.0.0.1"


def test_mistakes_of_both_files_at_once(mine, fast, tmp_path):
    (tmp_path / "machines.yaml").write_text("one: {host: h, user: me, project: /p, keyy: k}")
    found = errors(give(mine, trialConcurency=2), machines=tmp_path / "machines.yaml")
    assert f"{tmp_path}/machines.yaml: one: unknown key 'keyy'; did you mean key?" in found
    assert f"{tmp_path}/machines.yaml: one: key: is missing" in found
    assert "unknown key 'trialConcurency'; did you mean trialConcurrency?" in found


def test_a_command_that_needs_quotes(sshd, mine, fast, people, tmp_path):
    write_machines(tmp_path / "machines.yaml", (sshd.machine("one"),))
    (found,) = errors(mine.yaml, people, settings=["group=my group"], machines=tmp_path / "machines.yaml")
    assert found.startswith("trialCommand: NNI can't start 'group=my group' on other machines")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["corrections=labels.csv", "teacher=out_of_fold", "teacher.runs=out/runs/a", "pseudo_labels=p.csv"],
         "corrections, pseudo_labels, teacher: name files of this machine, which others need not have"),
        (["corrections=competition"], None),
    ],
)  # fmt: skip
def test_files_of_this_machine(mine, monkeypatch, settings, said):
    """The other machines are asked for photos and weights only."""

    def usable(*given):
        raise UsageError("asked")

    monkeypatch.setattr(checking, "usable", usable)
    plan, _ = read_plan(mine.yaml)
    with pytest.raises(UsageError) as caught:
        checking.with_machines(plan.with_settings(settings), [Machine("one", "h", "me", "/key", "/project")])
    assert str(caught.value).startswith(said or "asked")


def test_remote_in_the_yaml_is_for_machines(mine, fast):
    (found,) = errors(give(mine, trainingService={"platform": "remote"}))
    assert found == (
        "trainingService.platform: remote: write trainingService: {platform: local}, and list the machines in "
        "--machines"
    )
