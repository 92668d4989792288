"""Trials of NNI that go on: from a parent, and in the same folder when NNI starts them again."""

import json
import shutil

import pytest

from common.errors import UsageError
from tests.trial.killed_runs import assert_same, config_of, killed, whole, write_status
from trial import advisor
from trial.commands import train
from trial.config import PLACES
from trial.metrics import column_of
from trial.run_folder.checkpoint import CHECKPOINT
from trial.run_folder.record import RunFolder
from trial.run_folder.resume import Saver


class Trials:
    """Trials in one folder, as NNI starts them, without NNI."""

    def __init__(self, folder, config, monkeypatch):
        self.folder, self.config, self.patch = folder, config, monkeypatch
        self.told: list[float] = []  # by the trial that was started last
        self.sequences: list[int] = []
        self.final: list[float] = []
        values = config.to_json()
        self.values = {key: values[key] for key in config.recipe() if key != "metric"}
        self.words = [f"{name}={values[name]}" for name in ("data", "threads", "cache_limit")]

    def start(self, trial, **more):
        folder = self.folder / trial
        (folder / ".nni").mkdir(parents=True, exist_ok=True)
        self.told, self.final = [], []
        sequence = [0]

        def report(value):
            self.told.append(value["default"])
            self.sequences.append(sequence[0])
            sequence[0] += 1
            send("PERIODICAL", value)

        def report_final(value):
            self.final.append(value)
            send("FINAL", value)

        def send(kind, value):
            dumped = json.dumps({"type": kind, "value": json.dumps(value)}) + "\n"
            with (folder / ".nni" / "metrics").open("a") as file:
                file.write(f"ME{len(dumped):06d}{dumped}")

        with self.patch.context() as patch:
            patch.setattr("nni.report_intermediate_result", report)
            patch.setattr("nni.report_final_result", report_final)
            patch.setattr(
                "nni.trial.overwrite_intermediate_seq", lambda number: sequence.__setitem__(0, number)
            )
            patch.setattr(advisor, "ask", lambda: {**self.values, **more})
            patch.setattr(advisor, "manager", lambda: None)
            patch.setattr(Saver, "is_due", True)
            patch.setenv("NNI_SYS_DIR", str(folder))
            begun = train._begins_for_nni(self.words, folder, print)
            if begun:
                train._run(begun.config, begun.writer, in_experiment=True, checkpoint=begun.checkpoint)
        return RunFolder(folder)


@pytest.fixture(scope="module")
def parts(people, tmp_path_factory):
    """(A config, the folder of its whole run, that of one killed after epoch 2 of 4)."""
    config = config_of(people)
    folder = tmp_path_factory.mktemp("parts")
    whole(folder / "whole", config)
    with pytest.MonkeyPatch.context() as patch:
        killed(folder / "p", config, patch)
    write_status(folder / "p", RunFolder(folder / "p").status() | {"state": "interrupted"})
    return config, folder / "whole", folder / "p"


@pytest.fixture
def trials(parts, tmp_path, monkeypatch):
    shutil.copytree(parts[2], tmp_path / "p")
    return Trials(tmp_path, parts[0], monkeypatch)


def curve(folder):
    return list(RunFolder(folder).epochs()[column_of("macro_f1")])


@pytest.mark.slow
def test_a_trial_goes_on_from_its_parent_and_reports_the_whole_curve(parts, trials, tmp_path):
    run = trials.start("c", parent="p")
    assert_same(run.folder, parts[1])
    assert trials.told == pytest.approx(curve(parts[1]))
    assert trials.sequences == [0, 1, 2, 3]
    assert trials.final == [run.status()["score"]]
    status, before = run.status(), RunFolder(tmp_path / "p").status()
    assert (status["parent"], status["started"], status["state"]) == ("p", before["started"], "done")
    recipe = {name: value for name, value in run.config().to_json().items() if name not in PLACES}
    assert recipe == parts[0].recipe()
    # The parent keeps what it recorded, but the child goes on now.
    assert curve(tmp_path / "p") == curve(parts[2])
    assert [path.name for path in RunFolder(tmp_path / "p").weights_files()] == ["weights.safetensors"]
    assert not list(tmp_path.glob(f"*/{CHECKPOINT}"))


def test_a_trial_records_in_its_own_folder_and_keeps_no_checkpoint(trials, tmp_path):
    trials.words.append("out=elsewhere")
    with pytest.raises(UsageError, match="out=elsewhere: a trial of an experiment records in NNI's folder"):
        trials.start("c")
    assert "out=elsewhere" in RunFolder(tmp_path / "c").status()["reason"]
    with pytest.raises(UsageError, match="--keep-checkpoint: is for a run of its own"):
        train._begins_for_nni([], tmp_path / "d", print, keep_checkpoint=True)


def test_what_the_child_writes_leaves_the_parents_files_alone(parts, trials, tmp_path):
    before = {path.name: path.read_bytes() for path in (tmp_path / "p").iterdir()}
    trials.start("c", parent="p")
    after = {path.name: path.read_bytes() for path in (tmp_path / "p").iterdir()}
    assert after == {name: content for name, content in before.items() if name != CHECKPOINT}


@pytest.mark.slow
@pytest.mark.parametrize("broken", ["gone", "damaged", "another recipe", "never was"])
def test_without_a_usable_checkpoint_of_the_parent_it_trains_from_epoch_1(
    broken, parts, trials, tmp_path, caplog
):
    more = {}
    if broken == "gone":
        (tmp_path / "p" / CHECKPOINT).unlink()
    elif broken == "damaged":
        (tmp_path / "p" / CHECKPOINT).write_bytes(b"half")
    elif broken == "another recipe":
        more = {"learning_rate": 0.0029}
    else:
        shutil.rmtree(tmp_path / "p")
    run = trials.start("c", parent="p", **more)
    assert "this trial trains from epoch 1" in caplog.text
    assert run.status()["parent"] == "p"
    assert trials.sequences == [0, 1, 2, 3]
    if not more:
        assert_same(run.folder, parts[1])


def test_a_parent_that_is_not_a_trial_beside_it_fails_the_trial(trials, tmp_path):
    with pytest.raises(Exception, match=r"parent=\.\./p: is not the id of a trial"):
        trials.start("c", parent="../p")
    assert RunFolder(tmp_path / "c").status()["state"] == "failed"


def test_a_trial_that_can_not_go_on_now_keeps_its_checkpoint(trials, tmp_path):
    trials.words = [word for word in trials.words if not word.startswith("data=")]
    with pytest.raises(UsageError, match="no_such_folder"):
        trials.start("p", data="no_such_folder")
    assert (tmp_path / "p" / CHECKPOINT).exists()
    assert RunFolder(tmp_path / "p").status()["state"] == "failed"


@pytest.mark.slow
def test_started_again_in_its_folder_it_goes_on_and_repeats_no_report(parts, trials):
    """NNI reads the file of the reports from its beginning again."""
    with pytest.MonkeyPatch.context() as patch:
        from trial.run_folder.record import RunWriter

        epoch, left = RunWriter.epoch, [3]

        def die(writer, row):
            left[0] -= 1
            if left[0] == 0:
                raise SystemExit  # in epoch 3, of which nothing was recorded
            epoch(writer, row)

        patch.setattr(RunWriter, "epoch", die)
        with pytest.raises(SystemExit):
            trials.start("t")
    assert trials.told == pytest.approx(curve(parts[1])[:2])
    run = trials.start("t")
    assert_same(run.folder, parts[1])
    assert trials.told == pytest.approx(curve(parts[1])[2:])
    assert trials.sequences == [0, 1, 2, 3]
    assert "parent" not in run.status()


@pytest.mark.slow
def test_a_child_that_is_started_again_goes_on_from_its_own_checkpoint(parts, trials, tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("trial.run.Patience.step", lambda *given: (_ for _ in ()).throw(SystemExit))
        with pytest.raises(SystemExit):  # in epoch 3: its own checkpoint is still the parent's
            trials.start("c", parent="p")
    assert (tmp_path / "p" / CHECKPOINT).exists() and (tmp_path / "c" / CHECKPOINT).exists()
    (tmp_path / "p" / CHECKPOINT).unlink()
    run = trials.start("c", parent="p")
    assert_same(run.folder, parts[1])
    assert trials.sequences == [0, 1, 2, 3]
    assert run.status()["parent"] == "p"


@pytest.mark.slow
@pytest.mark.parametrize("order", ["lockstep", "one_by_one"])
def test_a_child_of_all_folds_reports_what_its_parent_did_and_then_the_rest(
    order, people, tmp_path, monkeypatch
):
    config = config_of(people, fold="all", folds=2, fold_order=order, epochs=2)
    reports = [report for report in whole(tmp_path / "whole", config) if report.for_tuner]
    killed(tmp_path / "p", config, monkeypatch, times=1 if order == "lockstep" else 4)  # of fold 1
    trials = Trials(tmp_path, config, monkeypatch)
    run = trials.start("c", parent="p")
    assert_same(run.folder, tmp_path / "whole")
    assert trials.told == pytest.approx([report.score for report in reports])
    assert trials.sequences == [0, 1]


@pytest.mark.slow
@pytest.mark.parametrize("order", ["lockstep", "one_by_one"])
def test_a_trial_that_was_done_already_is_reported_and_not_trained_again(
    order, people, tmp_path, monkeypatch, capsys
):
    config = config_of(people, fold="all", folds=2, fold_order=order, epochs=2)
    trials = Trials(tmp_path, config, monkeypatch)
    run = trials.start("t")
    told, final = trials.told, trials.final
    metrics = tmp_path / "t" / ".nni" / "metrics"
    reported = metrics.read_text().splitlines(keepends=True)
    before = {path.name: path.read_bytes() for path in run.folder.iterdir() if path.is_file()}
    for known, rest in ((3, []), (2, []), (1, told[1:]), (0, told)):
        metrics.write_text("".join(reported[:known]))
        trials.start("t")
        assert trials.told == pytest.approx(rest)
        assert trials.final == ([] if known == 3 else final)
        assert trials.sequences[-len(rest) :] == [0, 1][-len(rest) :] or not rest
        assert "done already" in capsys.readouterr().out
        assert {path.name: path.read_bytes() for path in run.folder.iterdir() if path.is_file()} == before
    trials.values["learning_rate"] = 0.0029
    trials.start("t")  # another recipe in this folder: trained
    assert len(trials.told) == 2 and trials.told != pytest.approx(told)
