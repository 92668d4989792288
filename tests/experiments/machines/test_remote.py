"""Run folders come back by SSH, and the reports of trials reach the manager; then a whole search, through NNI."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from analysis.trials.table import Experiment, trial_table
from common.errors import UsageError
from common.files import write_json
from common.machine import PROJECT
from experiments.checks.ports import any_port, taken
from experiments.machines import remote
from experiments.machines.inspect import Inspected
from experiments.machines.listed import write_machines
from experiments.machines.remote import Links, fetch, fetch_all, launcher, local_service, remote_service
from tests.nni_server import TinyExperiment, listening
from trial.run_folder.checkpoint import CHECKPOINT
from trial.run_folder.record import RunFolder

DONE = {
    "state": "done", "reason": "", "started": "2026-01-01T00:00:00+0000", "ended": "2026-01-01T00:01:00+0000",
    "process": {"pid": 1, "started": 1.0, "host": "there"}, "epochs": 1, "seconds": 1.0, "best_epoch": 1,
    "macro_f1": 0.5, "metric": "macro_f1", "score": 0.5,
}  # fmt: skip


@pytest.fixture
def trials_there(tmp_path, monkeypatch):
    """The trials' folder that a machine has for the experiment `abc`."""
    monkeypatch.setattr(remote, "TEMPORARY", str(tmp_path / "there"))
    trials = tmp_path / "there" / "nni-experiments" / "abc" / "trials"
    for name in ("T1", "T2"):
        (trials / name / "code").mkdir(parents=True)
        (trials / name / "run.sh").write_text("NNI's own")
        (trials / name / "code" / "pyproject.toml").write_text("NNI's own")
        (trials / name / ".status.json.1.part").write_text("being written")
        (trials / name / "epochs.csv").write_text(f"epochs of {name}")
        (trials / name / "weights.safetensors").write_text("a network")
    return trials


@pytest.fixture
def here(tmp_path):
    folder = tmp_path / "here" / "abc"
    (folder / "trials" / "T1").mkdir(parents=True)
    (folder / "trials" / "T1" / "epochs.csv").write_text("older")
    return folder


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.slow
@pytest.mark.parametrize("rsync", [True, False])
def test_run_folders_come_back(sshd, trials_there, here, rsync):
    if rsync and not shutil.which("rsync"):
        pytest.skip("rsync is not installed here")
    one = Inspected(sshd.machine(), {"rsync": rsync}, (), ())
    assert fetch(one, here, (*remote.NOT_OURS, *remote.LARGE)) == ""
    assert files(here) == ["trials/T1/epochs.csv", "trials/T2/epochs.csv"]
    assert (here / "trials" / "T1" / "epochs.csv").read_text() == "epochs of T1"
    (here / "trials" / "T1" / CHECKPOINT).write_text("of before it was done")
    write_json(trials_there / "T1" / "status.json", DONE)
    fetch_all(here, [one], remove=True)
    ours = ["epochs.csv", "weights.safetensors"]
    assert files(here / "trials" / "T2") == ours
    assert files(here / "trials" / "T1") == ["epochs.csv", "status.json", "weights.safetensors"]
    assert not trials_there.parent.exists(), "removed there"


def test_what_cannot_be_copied_is_kept_there(sshd, trials_there, here, caplog):
    away = Inspected(sshd.machine(port=1), {"rsync": True}, (), ())
    fetch_all(here, [away], remove=True)
    assert "one: its run folders could not be copied" in caplog.text
    assert (trials_there / "T2" / "epochs.csv").exists()


@pytest.mark.slow
def test_tunnels(sshd):
    one = Inspected(sshd.machine(), {"network": "another", "rsync": True}, (), ())
    port = any_port()
    links = Links([one], port)
    links.open("input")
    assert listening()[str(port)] == {"127.0.0.1"}
    with pytest.raises(UsageError, match=f"one: port {port} there, for the trials' reports, is in use"):
        Links([one], port).open("input")
    links.close()
    TinyExperiment.wait_for(lambda: not taken(port))


@pytest.mark.slow
def test_a_tunnel_whose_login_script_hangs_is_given_up(sshd, tmp_path, monkeypatch):
    monkeypatch.setattr(remote, "SECONDS", 2)
    one = Inspected(
        sshd.machine_that_runs("sleep 60", tmp_path), {"network": "another", "rsync": True}, (), ()
    )
    assert (
        Links([one], any_port())
        ._tunnel(one.machine)
        .startswith("can't be reached: the tunnel did not open within 2 s; try it by hand: ssh -i ")
    )


def test_the_launcher_runs_trials_in_the_project_there(sshd, tmp_path):
    machine = sshd.machine(data="/photos/there", trials=3, python="/usr/bin/env")
    folder, text = launcher(machine, "input")
    assert folder.startswith(f"{machine.project}/out/launchers/")
    (tmp_path / "python").write_text(text)

    def ran(*words):
        command = [
            "sh",
            tmp_path / "python",
            "sh",
            "-c",
            'echo "$FACE_MASK_CONCURRENCY $@"; pwd',
            "sh",
            *words,
        ]
        return subprocess.run(command, capture_output=True, text=True).stdout.splitlines()

    said, place = ran("-m", "trial", "data=input", "augment=a b")
    assert said == "3 -m trial data=/photos/there augment=a b"
    assert place in (machine.project, str(PROJECT))
    keeper = ran("--trial_command", "python -m trial data=input epochs=2")[0]
    assert keeper == "3 --trial_command python -m trial data=/photos/there epochs=2"


def test_the_service_and_back(sshd):
    local = {"platform": "local", "trialGpuNumber": 1, "useActiveGpu": True, "maxTrialNumberPerGpu": 2}
    config = remote_service([sshd.machine("one", gpus=(0,)), sshd.machine("two", trials=2)], local, "input")
    assert config["trialConcurrency"] == 3
    assert config["nniManagerIp"] == "127.0.0.1"
    one, two = config["trainingService"]["machineList"]
    assert (one["gpuIndices"], "gpuIndices" in two) == ([0], False)
    assert local_service(config["trainingService"]) == local


@pytest.mark.server
@pytest.mark.slow
def test_a_search_on_two_machines(sshd, mine, people, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    copy = shutil.copytree(people, tmp_path / "copy")
    machines = sshd.machine("one"), sshd.machine("two", data=str(copy))
    write_machines(tmp_path / "machines.yaml", machines)
    port = any_port()
    command = [
        sys.executable, "-m", "experiments", "run", mine.yaml, "--data", people, "--set", "epochs=2",
        "--port", str(port), "--machines", tmp_path / "machines.yaml",
    ]  # fmt: skip
    run = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    assert "2 of 2 trials ended" in run.stderr
    id = re.search(r"^experiment (\w{8}):", run.stdout, re.MULTILINE)[1]
    folder = mine.folder / "runs" / id
    table = trial_table(Experiment(id, "mine", folder))
    assert list(table["state"]) == ["done", "done"]
    assert len(list(folder.glob("trials/*/weights.safetensors"))) == 2
    read = {RunFolder(path).config().data for path in folder.glob("trials/*")}
    assert read == {str(people), str(copy)}, "one trial on each machine"
    assert not Path(remote.TEMPORARY, "nni-experiments", id).exists()
    assert not taken(port) and not taken(port + 1)
    left = [p for p in psutil.process_iter(["cmdline"]) if id in " ".join(p.info["cmdline"] or [])]
    assert left == []
