import pytest

from tests.tuners.fake_nni import FakeNNI
from tuners import reports
from tuners.reports import Reports, _starting
from tuners.spaces.space import Space

SPACE = Space({"lr": {"_type": "uniform", "_value": [0, 1]}})


def test_what_nni_gave_its_trials_is_read_once(tmp_path, monkeypatch):
    fake, read = FakeNNI(tmp_path / "abcdefgh", monkeypatch), []
    query = reports._query

    def counted(folder, sql):
        rows = query(folder, sql)
        read.extend(row for row in rows if "parameter_id" in str(row))
        return rows

    monkeypatch.setattr(reports, "_query", counted)
    asked = Reports(fake.folder, SPACE)
    for number in range(20):
        fake.begin(f"t{number}", number, {"lr": number / 20})
        for earlier in range(number + 1):
            assert asked.of(earlier, {"lr": earlier / 20}).trial == f"t{earlier}"
    assert len(read) == 20
    assert asked.of(20, {"lr": 1.0}) is None
    assert asked.of(3, {"lr": 0.5}) is None, "the id is of another recipe"
    fake.begin("again", 3, {"lr": 3 / 20})
    assert asked.of(3, {"lr": 3 / 20}).trial == "again", "NNI hands out ids again after a resume"


@pytest.mark.parametrize(
    ("start", "reports", "goes_on", "seconds"),
    [
        (100.0, [109.0, 110.0, 111.0], False, 8.0),
        (100.0, [111.0, 109.0, 110.0], False, 8.0),  # NNI stores them in any order
        (100.0, [101.0, 102.0], False, 0.0),
        (100.0, [100.5, 102.0], False, 0.0),
        (100.0, [109.0], False, 0.0),  # not known yet
        (None, [1.0, 2.0], False, 0.0),
        (100.0, [108.0, 108.1, 118.0], True, 8.0),  # the first two are its parent's
    ],
)
def test_a_start_is_what_the_first_epoch_took_longer_than_others(start, reports, goes_on, seconds):
    assert _starting(start, reports, goes_on) == pytest.approx(seconds)


def test_a_trial_that_was_run_again_cost_what_all_its_processes_took(tmp_path, monkeypatch):
    """NNI has the times of the last one only."""
    fake, point = FakeNNI(tmp_path / "abcdefgh", monkeypatch), {"lr": 0.5}
    fake.begin("t", 0, point)
    fake.report("t", *[0.1] * 9)
    fake.event("t", "RUNNING")
    fake.report("t", 0.2, first=9)
    seconds = Reports(fake.folder, SPACE).of(0, point).seconds
    assert seconds == pytest.approx(1, abs=0.1)
    run = fake.folder / "trials" / "t"
    run.mkdir()
    (run / "status.json").write_text('{"state": "running", "seconds": 9.5}')
    assert Reports(fake.folder, SPACE).of(0, point).seconds == 9.5
    (run / "status.json").write_text('{"state": "running", "seconds": 9.5, "parent": "p"}')
    assert Reports(fake.folder, SPACE).of(0, point).seconds == pytest.approx(1, abs=0.1), "the rest is p's"
