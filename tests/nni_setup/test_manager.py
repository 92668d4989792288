"""NNI's real manager under plain nnictl: its addresses, its gaps between trials, its trials' environment."""

import json
import os
import sys

import pytest

from tests.nni_server import PROJECT, TinyExperiment, listening

pytestmark = [pytest.mark.server, pytest.mark.slow]


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """A stopped experiment of four trials, and the addresses that were listening while it ran."""
    plain = {name: value for name, value in os.environ.items() if name != "NODE_OPTIONS"}
    tiny = TinyExperiment.write(tmp_path_factory.mktemp("manager"), trials=4)
    before = set(listening())
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("NODE_OPTIONS", raising=False)
        patch.delenv("OPENBLAS_NUM_THREADS", raising=False)
        # A PATH without this environment: what nnictl's own Python sets must be enough.
        patch.setenv(
            "PATH", os.pathsep.join(p for p in plain["PATH"].split(os.pathsep) if sys.prefix not in p)
        )
        try:
            tiny.create()
            tiny.listened = {port: ips for port, ips in listening().items() if port not in before}
            tiny.wait_for_trials(4)
        finally:
            tiny.stop()
        yield tiny


def test_create_listens_on_this_machine_only(stopped):
    assert stopped.listened[str(stopped.port)] == {"127.0.0.1"}


def test_resume_listens_on_this_machine_only(stopped):
    said = stopped.nnictl("resume", stopped.id, "--port", str(stopped.port))
    try:
        assert listening().get(str(stopped.port)) == {"127.0.0.1"}, said
    finally:
        stopped.stop()


def test_view_needs_only_the_working_directory(stopped, tmp_path):
    """As the last line of `experiments run` says; from another HOME, where NNI's own list is empty. It, too, listens on
    this machine only."""
    words = ("view", stopped.id, "--port", str(stopped.port), "-e", str(stopped.folder / "runs"))
    said = stopped.nnictl(*words, HOME=str(tmp_path))
    try:
        assert listening().get(str(stopped.port)) == {"127.0.0.1"}, said
    finally:
        stopped.nnictl("stop", stopped.id, HOME=str(tmp_path))
        stopped.wait_for(lambda: str(stopped.port) not in listening())


def test_trials_see_the_preload_and_run_this_python(stopped):
    seen = [json.loads(path.read_text()) for path in stopped.root.glob("trials/*/seen.json")]
    assert len(seen) == 4
    for trial in seen:
        assert trial == {
            "FACE_MASK_NNI_PRELOAD": "1",
            "NO_ALBUMENTATIONS_UPDATE": "1",
            "OPENBLAS_NUM_THREADS": "1",
            "python": str(PROJECT / ".venv"),
        }


def test_all_metrics_arrive_and_gaps_are_short(stopped):
    assert set(stopped.ends().values()) == {"SUCCEEDED"}
    assert stopped.rows("SELECT type, count(*) FROM MetricData GROUP BY type ORDER BY type") == [
        ("FINAL", 4),
        ("PERIODICAL", 12),
    ]
    events = stopped.rows("SELECT timestamp, event FROM TrialJobEvent ORDER BY timestamp")
    first_end = min(when for when, event in events if event == "SUCCEEDED")
    next_start = min(when for when, event in events if event == "RUNNING" and when > first_end)
    assert next_start - first_end < 2500, "milliseconds between a trial's end and the next one's start"
