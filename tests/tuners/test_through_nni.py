"""NNI loads the shipped tuner and the tests' own assessor by their names in a YAML."""

import json

import pytest

from tests.nni_server import PROJECT, TinyExperiment

pytestmark = [pytest.mark.server, pytest.mark.slow]
TUNER = f'{{className: tuners.search.Search, codeDirectory: "{PROJECT}", classArgs: {{seed: 3}}}}'
ASSESSOR = 'assessor: {{className: {name}, codeDirectory: "{project}", classArgs: {arguments}}}'


def run(folder, trials, name, arguments):
    more = ASSESSOR.format(name=name, project=PROJECT, arguments=arguments)
    tiny = TinyExperiment.write(folder, trials, TUNER, more)
    yaml = folder / "tiny.yaml"
    yaml.write_text(yaml.read_text().replace("trialConcurrency: 2", "trialConcurrency: 1"))
    trial = folder / "trial.py"
    trial.write_text(trial.read_text().replace("time.sleep(0.1)", "time.sleep(0.7)"))
    try:
        tiny.create()
        tiny.wait_for_trials(trials, 90)
    finally:
        tiny.stop()
    return tiny


def test_default_first_and_a_trial_stopped_where_told(tmp_path):
    tiny = run(tmp_path, 3, "tests.stop_trial.StopTrial", "{trial: 1, epoch: 2}")
    started = [trial for (trial,) in tiny.rows("SELECT trialJobId FROM TrialJobEvent WHERE event='WAITING'")]
    ends = tiny.ends()
    assert [ends[trial] for trial in started] == ["SUCCEEDED", "EARLY_STOPPED", "SUCCEEDED"]
    first = tiny.rows("SELECT data FROM TrialJobEvent WHERE event='WAITING' ORDER BY rowid LIMIT 1")[0][0]
    assert json.loads(first)["parameters"] == {"x": 0.5}
    reports = tiny.rows(
        f"SELECT count(*) FROM MetricData WHERE type='PERIODICAL' AND trialJobId='{started[1]}'"
    )
    assert reports[0][0] == 2
