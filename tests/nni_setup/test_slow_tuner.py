"""A tuner that takes longer to start and to answer than NNI's manager waits, as on a busy machine."""

import pytest

from tests.nni_server import TinyExperiment

# It holds the interpreter, so that the thread that answers NNI's pings waits, too.
TUNER = """
import ctypes, time
from nni.algorithms.hpo.random_tuner import RandomTuner
time.sleep(12)
class Slow(RandomTuner):
    def generate_parameters(self, number, **more):
        ctypes.PyDLL(None).sleep(11)
        return super().generate_parameters(number, **more)
"""


@pytest.mark.server
@pytest.mark.slow
def test_nni_waits_for_it(tmp_path):
    (tmp_path / "slow.py").write_text(TUNER)
    tiny = TinyExperiment.write(tmp_path, 1, f"{{className: slow.Slow, codeDirectory: '{tmp_path}'}}")
    tiny.create()
    try:
        tiny.wait_for_trials(1, 120)
        assert list(tiny.ends().values()) == ["SUCCEEDED"]
    finally:
        tiny.stop()
