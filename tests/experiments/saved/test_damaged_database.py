"""A damaged value in NNI's database: refused in words or, if it is of one trial, that trial is named and the others are
as before."""

import json
import shutil
import sqlite3

import pytest

from analysis.pipeline import export_best
from analysis.trials.printing import print_trials
from analysis.trials.ranking import rank
from analysis.trials.table import Experiment, experiments, find, trial_table
from analysis.trust.curves import STEADY
from common.errors import UsageError
from experiments.clean import clean
from experiments.progress import look
from experiments.saved import resume
from experiments.saved.experiment import read_saved
from experiments.saved.overview import overview
from tests.analysis.fake_experiment import finished
from tests.analysis.trials.damage import VALUES as OTHERS
from tests.experiments.saved.saved_experiment import SavedExperiment

RECIPE = {"model": "test_resnet.r160_in1k", "weights": "none", "image_size": "32x32"}
HURT = "second"  # the trial whose rows are damaged, and one that waits
WAITS = "waits"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    saved = SavedExperiment(tmp_path_factory.mktemp("damaged"), maxTrialNumber=9)
    for number, name in enumerate(("first", HURT, "third")):
        rate = 0.002 + number / 1000
        saved.trial(name, "RUNNING", "SUCCEEDED", rate=rate)
        finished(saved.folder / "trials" / name, RECIPE | {"learning_rate": rate}, 0.1 + number / 10)
    saved.trial(WAITS)
    with sqlite3.connect(database := saved.folder / "db" / "nni.sqlite") as db:
        db.execute("insert into MetricData values (5000, 'second', '1', 'FINAL', 0, '\"0.5\"')")
    shutil.copy(database, database.with_name("kept"))
    return saved


@pytest.fixture
def saved(whole, monkeypatch):
    """The same, mended before each use."""
    monkeypatch.setattr(resume.server, "running", dict)
    monkeypatch.setattr(resume, "watched", lambda *_: "goes on")
    monkeypatch.setattr(resume, "recipe_errors", lambda plan: [])  # the space's points take seconds
    yield whole
    mend(whole)


def mend(saved):
    database = saved.folder / "db" / "nni.sqlite"
    shutil.copy(database.with_name("kept"), database)


def experiment_of(saved):
    return Experiment(saved.folder.name, "mine", saved.folder)


CALLS = {
    "trials": lambda saved, out: trial_table(experiment_of(saved)),
    "unfinished": lambda saved, out: (read_saved(saved.folder).unfinished(), read_saved(saved.folder).plan),
    "progress": lambda saved, out: look(saved.folder, 9),
    "list": lambda saved, out: overview(saved.folder.parent, {}),
    "find": lambda saved, out: (find(str(saved.folder)), experiments(saved.folder.parent)),
    "resume": lambda saved, out: resume.resume_experiment(str(saved.folder), trials=2, hours=1),
}
SLOWER = {  # they read the same, and rank the trials: for a few of the damages
    "printed": lambda saved, out: print_trials(rank(trial_table(experiment_of(saved)))),
    "export-best": lambda saved, out: export_best(experiment_of(saved), out / "best", 2),
    "clean": lambda saved, out: clean(str(saved.folder), 1),
}
GIVEN = {"parameter_id": 1, "parameters": {"learning_rate": 0.003}}
TEXTS = [
    "", "null", "[]", "{}", "1", '"text"', "NaN", "[{}]", "{" * 5000, '{"parameter_id": 1', b"\xff\xfe", 5, 1.5,
    *(json.dumps(GIVEN | {key: value}) for key in GIVEN for value in OTHERS),
    *(json.dumps(GIVEN | {"parameters": {"learning_rate": value}}) for value in OTHERS),
    *(json.dumps(GIVEN | {"parameters": {"model": value, "loss": value}}) for value in OTHERS),
]  # fmt: skip
SAME = [json.dumps(GIVEN | {"parameter_id": value}) for value in (-1, "text")]  # another id: the same values
PLAIN = [None, "", "text", -1, 1e300, b"\xff\xfe", "../../x", "it's"]
ROWS = {
    (table, column): values
    for table, columns in {
        "TrialJobEvent": {"data": TEXTS, "event": PLAIN, "timestamp": PLAIN, "trialJobId": PLAIN, "sequenceId": PLAIN},
        "MetricData": {"timestamp": PLAIN, "trialJobId": PLAIN, "type": PLAIN, "data": TEXTS},
    }.items()
    for column, values in columns.items()
}  # fmt: skip
CONFIG = [
    "experimentName", "searchSpace", "trialCommand", "trialCodeDirectory", "trialConcurrency", "maxTrialNumber",
    "experimentWorkingDirectory", "maxExperimentDuration", "maxTrialDuration", "tuner", "assessor", "trainingService",
]  # fmt: skip
INSIDE = [
    ("tuner", "className"), ("tuner", "name"), ("tuner", "codeDirectory"), ("tuner", "classArgs"),
    ("tuner", "classArgs", "trainings"), ("tuner", "classArgs", "hours"), ("tuner", "classArgs", "seed"),
    ("searchSpace", "learning_rate"), ("searchSpace", "learning_rate", "_type"),
    ("searchSpace", "learning_rate", "_value"), ("trainingService", "platform"), ("assessor", "className"),
]  # fmt: skip


def sound(saved, tmp_path, what, slower=False):
    """{call: its result, or the UsageError that refused it in words}."""
    results = {}
    for name, call in (CALLS | (SLOWER if slower else {})).items():
        try:
            results[name] = call(saved, tmp_path)
        except UsageError as error:
            results[name] = error
        except Exception as error:
            raise AssertionError(f"{name}: {what}") from error
    shutil.rmtree(tmp_path / "best", ignore_errors=True)
    return results


CASES = [(HURT, *where) for where in ROWS] + [(WAITS, *where) for where in ROWS if "TrialJobEvent" in where]
QUICK = [
    (HURT, "TrialJobEvent", "data"),
    (WAITS, "TrialJobEvent", "data"),
    (HURT, "TrialJobEvent", "timestamp"),
]


@pytest.mark.parametrize(
    ("trial", "table", "column"),
    [pytest.param(*case, marks=() if case in QUICK else pytest.mark.slow) for case in CASES],
)
def test_a_damaged_row_of_a_trial_changes_no_other_trial(saved, tmp_path, trial, table, column):
    for number, value in enumerate(ROWS[table, column]):
        mend(saved)
        with sqlite3.connect(saved.folder / "db" / "nni.sqlite") as db:
            where = " and event = 'WAITING'" if table == "TrialJobEvent" else ""
            db.execute(f"update {table} set {column} = ? where trialJobId = ?{where}", (value, trial))
        what = f"{column}={str(value)[:60]!r}"
        results = sound(saved, tmp_path, what, slower=number == 1)
        for name, result in results.items():
            assert not isinstance(result, UsageError), f"{name}: {what}: {result}"
        states = results["trials"].set_index("trial")["state"]
        scores = results["trials"].set_index("trial")[STEADY]
        for other, score in (("first", 0.1), ("third", 0.3)):
            assert states[other] == "done" and scores[other] == pytest.approx(score), what
        if column == "data" and trial == HURT and table == "TrialJobEvent":
            assert states[HURT] in ("damaged", "mismatch") or value in SAME, what


def test_damaged_values_of_an_open_trial_are_named_and_it_is_not_run_again(saved, tmp_path):
    with sqlite3.connect(saved.folder / "db" / "nni.sqlite") as db:
        db.execute("update TrialJobEvent set data = 'null' where trialJobId = ?", (WAITS,))
    row = CALLS["trials"](saved, tmp_path).set_index("trial").loc[WAITS]
    assert (row["state"], row["reason"][:31]) == ("damaged", "NNI's record of it is damaged (")
    assert read_saved(saved.folder).unfinished() == []
    assert CALLS["resume"](saved, tmp_path) == "goes on"
    events = saved.rows(f"select event from TrialJobEvent where trialJobId = '{WAITS}'")
    assert events == [("WAITING",), ("FAILED",)], "else NNI would start it"


def in_profile(saved, column, value):
    mend(saved)
    with sqlite3.connect(saved.folder / "db" / "nni.sqlite") as db:
        db.execute(f"update ExperimentProfile set {column} = ?", (value,))


@pytest.mark.parametrize("column", ["params", "id", "execDuration", "startTime", "endTime", "revision"])
def test_a_damaged_record_of_the_experiment(saved, tmp_path, column):
    for value in TEXTS[:13] if column == "params" else PLAIN:
        in_profile(saved, column, value)
        sound(saved, tmp_path, f"{column}={str(value)[:60]!r}")


@pytest.mark.slow
@pytest.mark.parametrize("keys", [*((key,) for key in CONFIG), *INSIDE], ids="/".join)
def test_a_damaged_configuration(saved, tmp_path, keys):
    for value in OTHERS:
        params = json.loads(json.dumps(saved.params | {"assessor": {"className": "tuners.search.CannotWin"}}))
        inner = params
        for key in keys[:-1]:
            inner = inner[key]
        inner[keys[-1]] = value
        in_profile(saved, "params", json.dumps(params))
        sound(saved, tmp_path, f"{'/'.join(keys)}={value}")


@pytest.mark.parametrize("table", ["TrialJobEvent", "MetricData", "ExperimentProfile"])
def test_a_table_that_is_gone(saved, tmp_path, table):
    with sqlite3.connect(saved.folder / "db" / "nni.sqlite") as db:
        db.execute(f"drop table {table}")
    sound(saved, tmp_path, table)
