import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import numpy as np
import pandas as pd
import pytest

from analysis.trials.nni_database import recorded_trials
from analysis.trials.table import find
from benchmarks.long_run import PROCESSES, faults, figure, summary
from common.machine import PROJECT

CLEAN = "missing: 0, doubled: 0, mislabelled: 0, not ended well: 0"


def memory(growth: float) -> pd.DataFrame:
    trials = np.arange(100)
    return pd.DataFrame({"trials": trials} | dict.fromkeys(PROCESSES, 100 + growth * trials))


def test_growth_and_longer_gaps_are_named():
    text = summary(memory(1.0), np.linspace(1, 2, 100), {"missing": 3})
    assert "manager: 114 MB in the second tenth, 194 MB in the last, most 199" in text
    assert "median 1.05 s in the first tenth, 1.95 s in the last" in text
    assert "missing: 3" in text


def test_the_figure_has_a_line_for_each_process_that_ran():
    table = memory(1.0)
    table["warm server"] = float("nan")
    drawn = ElementTree.fromstring(figure(table))
    assert len(drawn.findall("{*}polyline")) == len(PROCESSES) - 1


@pytest.mark.server
@pytest.mark.slow
def test_a_short_run_loses_no_trial_and_goes_on(tmp_path):
    def run(trials: int) -> str:
        command = [sys.executable, "-m", "benchmarks.long_run", str(tmp_path), "--trials", str(trials)]
        done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert CLEAN in run(3)
    assert CLEAN in run(4)
    (database,) = (tmp_path / "runs").glob("[!_]*/db/nni.sqlite")
    experiment = find(str(database.parents[1]))
    assert len(recorded_trials(experiment.folder)) == 4
    assert faults(experiment, 5)["missing"] == 1
