"""queue.yaml: what is read and refused, before anything starts."""

import re

import pytest

from common.errors import UsageError
from common.machine import PROJECT
from experiments.check import check
from experiments.checks.queue import queue_errors, read_queue
from experiments.plan import read_plan
from experiments.queues.job import Queue
from experiments.queues.slurm import submitter
from tests.experiments.conftest import errors, give
from trial.commands.fetch import named_by

START = "python -m experiments.submit --queue {} -- python -m trial"
SLURM = "executor: slurm\nminutes: 90\n"
# As SLURM 22.05 answers: sinfo and sbatch --test-only.
TOOLS = {
    "srun": "", "squeue": "", "scancel": "",
    "sinfo": 'case "$*" in *gpu*) echo "gpu 1-00:00:00";; *) echo "cpu* 2:00:00"; echo "gpu 1-00:00:00";; esac',
    "sbatch": "if grep -q 'partition=nowhere'; then echo 'sbatch: error: invalid partition specified: nowhere' >&2; "
    "echo 'allocation failure: Invalid partition name specified' >&2; exit 1; fi",
}  # fmt: skip


def read(tmp_path, text):
    (tmp_path / "queue.yaml").write_text(text)
    return read_queue(tmp_path / "queue.yaml")


def test_a_good_one(tmp_path):
    text = SLURM + "partition: gpu\ngpus: 1\ncpus: 8\nmemory: 32\noptions: {account: faces, qos: low}\n"
    options = {"account": "faces", "qos": "low"}
    assert read(tmp_path, text) == Queue("slurm", 90, "gpu", 1, 8, 32, options)
    assert read(tmp_path, "executor: local\nminutes: 5\npartition:\n") == Queue("local", 5)


def test_the_one_of_the_docs(tmp_path):
    page = (PROJECT / "docs" / "several-machines.md").read_text()
    slurm, ray = re.findall(r"```yaml\n(# queue\.yaml.*?)```", page, re.S)
    options = {"account": "faces", "constraint": "a100"}
    assert read(tmp_path, slurm) == Queue("slurm", 240, "gpu", 1, 8, 32, options)
    options = {"accelerator_type": "A100", "resources": {"scratch": 1}}
    assert read(tmp_path, ray) == Queue("ray", None, None, 1, 8, 32, options, "head:6379")


def test_all_mistakes_at_once(tmp_path):
    text = """
executor: slrum
minuts: 30
partitions: gpu
gpus: -1
cpus: 1.5
memory: 16GB
options: {acount: me, time: 3, nodes: 2, additional_parameters: [1]}
"""
    with pytest.raises(UsageError) as caught:
        read(tmp_path, text)
    assert [error.partition("queue.yaml: ")[2] for error in caught.value.errors] == [
        "unknown key 'minuts'; did you mean minutes?",
        "unknown key 'partitions'; did you mean partition?",
        "minutes: is missing",
        "executor: 'slrum' is not slurm or local or ray",
        "gpus: -1 is not an integer from 0 to 64",
        "cpus: 1.5 is not an integer from 1 to 1,024",
        "memory: '16GB' is not a number of gigabytes above 0",
        "options: unknown option 'acount'; did you mean account?",
        "options.time: write minutes",
        "options.nodes: a trial is one process",
        "options.additional_parameters: is not a mapping of sbatch's options to values",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("executor: local\nminutes: 4", "minutes: 4 is not an integer from 5 to 43,200 (30 days)"),
        ("executor: local\nminutes: 99999999", "minutes: 99999999 is not an integer from 5"),
        ("executor: local\nminutes: true", "minutes: True is not an integer"),
        ("executor: local\nminutes: 9\nminutes: 10", "minutes is given twice"),
        ("executor: local\nminutes: 9\naddress: head:6379", "address: executor local has none; leave it out"),
        ("local", "is not a mapping of keys to values"),
        ("executor: [", "while parsing"),
    ],
)
def test_one_mistake(tmp_path, text, said):
    with pytest.raises(UsageError, match=r"queue\.yaml: ") as caught:
        read(tmp_path, text)
    assert said in str(caught.value)


def test_no_such_file(tmp_path):
    with pytest.raises(UsageError, match="no such file"):
        read_queue(tmp_path / "queue.yaml")


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    tools = tmp_path / "bin"
    tools.mkdir()
    for name, does in TOOLS.items():
        (tools / name).write_text(f"#!/bin/sh\n{does}\n")
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:/bin:/usr/bin")


def slurm_errors(tmp_path, text, **config):
    (tmp_path / "queue.yaml").write_text(text)
    return queue_errors(config, START.format("queue.yaml"), tmp_path)


@pytest.mark.parametrize("more", ["", "partition: gpu\noptions: {account: faces, srun_args: [--nice]}"])
def test_slurm_would_take_it(tmp_path, slurm, more):
    assert slurm_errors(tmp_path, SLURM + more) == []


def test_slurm_would_refuse_it(tmp_path, slurm):
    said = "SLURM would refuse the trials' jobs: sbatch: error: invalid partition specified: nowhere"
    assert slurm_errors(tmp_path, SLURM + "partition: nowhere") == [said]


def test_a_walltime_above_the_partitions(tmp_path, slurm):
    text = SLURM.replace("90", "121")
    (found,) = slurm_errors(tmp_path, text)
    assert found.startswith("minutes: 121 is more than the partition's limit of 120;")
    assert slurm_errors(tmp_path, text + "partition: gpu") == []


def test_no_slurm(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    (found,) = slurm_errors(tmp_path, SLURM)
    assert found.startswith(
        "executor: slurm: there is no sbatch, srun, squeue, scancel, sinfo on this machine"
    )


def test_what_a_job_asks_for(tmp_path, slurm):
    text = SLURM + "partition: gpu\ngpus: 1\ncpus: 8\nmemory: 1.5\noptions: {qos: low, srun_args: [--nice]}"
    executor = submitter(read(tmp_path, text), tmp_path, "abcde")
    script = executor._executor._make_submission_file_text("train", "")
    for line in ("partition=gpu", "time=90", "gpus-per-node=1", "cpus-per-task=8", "mem=1536MB", "qos=low",
                 "job-name=abcde", "no-requeue"):  # fmt: skip
        assert f"#SBATCH --{line}\n" in script
    assert " --cpus-per-task=8 --nice train" in script


def with_queue(mine, text):
    """`mine`, its trials as jobs of the queue that `text` describes."""
    path = mine.folder / "my-queue.yaml"
    path.write_text(text)
    return mine.change("python -m trial", START.format(path))


def test_an_experiment_whose_trials_are_jobs(mine, fast):
    pytest.importorskip("nni")
    before = check(mine.yaml)
    plan = check(with_queue(mine, "executor: local\nminutes: 10"))
    assert (plan.fixed, plan.data) == (before.fixed, before.data)
    assert plan.start == START.format(mine.folder / "my-queue.yaml")
    assert plan.effective()["trialCommand"].startswith(f"{plan.start} data=input model=")
    assert named_by(mine.yaml) == [("test_resnet.r160_in1k", ["none"])]


def test_its_mistakes_come_with_the_others(mine, fast):
    pytest.importorskip("nni")
    with_queue(mine, "executor: lokal\nminutes: 10")
    give(mine, trialGpuNumber=0, maxTrialNumber=0)
    found = "\n".join(errors(mine.yaml))
    assert "my-queue.yaml: executor: 'lokal' is not slurm or local or ray" in found
    assert "trialGpuNumber: is for this machine's GPUs; leave it out, and give gpus in queue.yaml" in found
    assert "maxTrialNumber: 0 is not" in found


@pytest.mark.parametrize("start", ["--quue q.yaml -- python", "--queue q.yaml python", "python"])
def test_a_command_that_would_not_start(mine, start):
    mine.change("python -m trial", f"python -m experiments.submit {start} -m trial")
    plan, _ = read_plan(mine.yaml)
    (found,) = queue_errors(plan.config, plan.start, mine.folder)
    assert found.startswith(
        "trialCommand: is not 'python -m experiments.submit --queue FILE -- python -m trial"
    )
