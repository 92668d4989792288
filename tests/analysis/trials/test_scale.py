"""What keeps the commands quick and small on thousands of trials, without a clock: what they load and read."""

import subprocess
import sys

import pandas as pd
import pytest

from analysis.report.experiment import write_experiment_report
from analysis.report.plots import MAX_CURVES
from analysis.trials import printing
from analysis.trials.ranking import rank
from analysis.trials.table import find, trial_table
from analysis.trust.leaders import MAX_LEADERS
from benchmarks.scale import both
from common.machine import PROJECT
from tests.analysis.trials.large_experiment import LargeExperiment
from trial.run_folder.record import RunFolder


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    experiment = LargeExperiment(tmp_path_factory.mktemp("large") / "large", epochs=3)
    experiment.grow(300)
    return experiment


@pytest.fixture(scope="module")
def table(large):
    return trial_table(find(str(large.folder)))


@pytest.mark.slow
def test_of_many_trials_exactly_those_that_ran_other_values_are_mismatched(large, table):
    assert len(large.mismatched) >= 3
    assert table["trial"][table["state"] == "mismatch"].tolist() == large.mismatched
    reasons = table.set_index("trial").loc[large.mismatched, "reason"]
    assert set(reasons) == {
        f"ran other values than NNI recorded: {field}" for field in ("learning_rate", "loss")
    }


@pytest.mark.slow
@pytest.mark.parametrize("command", [["trials"], ["trials", "--csv", "t.csv"], ["report", "--out", "r.html"]])
def test_reading_an_experiment_loads_no_torch(command, large, tmp_path):
    """Its import alone takes more than a second and 600 MB. Of the report, Optuna's importance needs
    scikit-learn."""
    name, *options = command
    options = [str(tmp_path / option) if "." in option else option for option in options]
    code = (
        "import sys; from analysis.__main__ import app\n"
        "try: app(sys.argv[1:])\n"
        f"finally: assert not {{'torch', 'timm', '{'torch' if name == 'report' else 'sklearn'}'}} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code, name, str(large.folder), *options], cwd=PROJECT, check=True)


@pytest.mark.slow
def test_the_report_reads_few_curves_and_validation_tables(large, table, tmp_path, monkeypatch):
    read = {"epochs": 0, "validation": 0}
    for name in read:
        original = getattr(RunFolder, name)

        def counted(run, name=name, original=original):
            read[name] += 1
            return original(run)

        monkeypatch.setattr(RunFolder, name, counted)
    found, ranking = find(str(large.folder)), rank(table)
    page = write_experiment_report(found, tmp_path / "r.html", ranking, ranking.first)
    assert read["epochs"] <= MAX_CURVES + 3
    assert read["validation"] <= 1 + MAX_LEADERS
    assert f"Only the best {MAX_CURVES} of 300 trials are drawn" in page.read_text()


def printed(table: pd.DataFrame, capsys) -> list[str]:
    printing.print_trials(rank(table))
    return capsys.readouterr().out.splitlines()


def test_a_pipe_gets_every_trial_whole_and_best_first(table, capsys):
    lines = printed(table, capsys)
    ranked, others = rank(table).ranked, rank(table).unranked
    assert [line.split()[1] for line in lines[2 : 2 + len(ranked)]] == ranked["trial"].tolist()
    assert lines[2 + len(ranked)] == f"{len(others)} not ranked"
    first = 4 + len(ranked)
    assert [line.split()[1] for line in lines[first : first + len(others)]] == others["trial"].tolist()
    assert any("one_minus_frequency" in line for line in lines)
    start = lines[1].index("loss.gamma")
    gammas = ranked["loss.gamma"]
    given = [line[start : start + 10].strip() for line in lines[2 : 2 + len(ranked)]]
    assert given == ["" if pd.isna(gamma) else f"{gamma:.4g}" for gamma in gammas]


def test_a_terminal_gets_the_first_and_the_count_of_the_rest(table, capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "250")
    text = "\n".join(printed(table, capsys))
    ranked = rank(table).ranked["trial"].tolist()
    assert f"... and {len(ranked) - printing.MAX_ROWS} more" in text
    assert all(trial in text for trial in ranked[: printing.MAX_ROWS])
    assert not any(trial in text for trial in ranked[printing.MAX_ROWS :])


@pytest.mark.parametrize("terminal", [True, False])
def test_a_reason_is_shown_as_it_is(terminal, capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    monkeypatch.setenv("COLUMNS", "250")
    failed = {"sequence": 0, "trial": "a", "state": "failed", "reason": "a [bold]list[/x]\nand :smile:"}
    rows = pd.DataFrame([failed | dict.fromkeys(["macro_f1", "best_epoch", "seconds"], float("nan"))])
    rows.attrs["searched"] = []
    text = " ".join(" ".join(printed(rows, capsys)).split())
    assert "a [bold]list[/x]" in text
    assert "and :smile:" in text
    assert "nan" not in text


def test_what_needs_a_look_comes_first_among_the_unranked():
    states = ["stopped_early", "waiting", "running", "done", "failed", "mismatch", "failed"]
    scores = [0.9, None, 0.8, 0.7, 0.1, 0.2, 0.3]
    rows = pd.DataFrame({"sequence": range(7), "trial": list("awbcdef"), "state": states, "macro_f1": scores})
    unranked = rank(rows).unranked
    assert unranked["trial"].tolist() == ["e", "f", "d", "b", "w", "a"]
    assert list(unranked.columns) == list(rows.columns)


def test_the_benchmark_counts_the_memory_of_the_command_alone():
    ours, bare = "x = b'x' * 200_000_000; import time; time.sleep(0.1)", "import time; time.sleep(0.1)"
    seconds, peaks = both(["-c", ours], ["-c", bare], repeats=1)
    assert len(seconds.values["ours"]) == len(peaks.values["bare start"]) == 1
    assert peaks.values["ours"][0] > peaks.values["bare start"][0] + 150
    assert peaks.values["bare start"][0] < 60, "this process, which starts it, holds more"
