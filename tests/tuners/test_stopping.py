import pytest

from tuners.stopping import hopeless

GOOD, FAIR, POOR = [0.2, 0.5, 0.7, 0.8], [0.1, 0.3, 0.4, 0.5], [0.1, 0.1, 0.2, 0.2]
FINISHED = [GOOD, FAIR, POOR]


@pytest.mark.parametrize(
    ("curve", "stopped"),
    [
        ([0.05], False),  # before start_epoch
        ([0.1, 0.2], True),
        ([0.1, 0.3], False),  # as good as the median
        ([0.35, 0.1], False),  # its best so far counts
        ([0.1, 0.2, 0.3], True),
        ([0.1, 0.2, 0.3, 0.4], False),  # nothing left to save
        ([0.1] * 9, False),
    ],
)
def test_below_the_median_of_the_finished(curve, stopped):
    assert hopeless(curve, FINISHED) is stopped


def test_needs_enough_finished_trials():
    assert not hopeless([0.0, 0.0], FINISHED[:2])
    assert hopeless([0.0, 0.0], FINISHED[:2], min_finished=2)
    assert not hopeless([0.0, 0.0], [], min_finished=0)
    assert not hopeless([0.0, 0.0], [GOOD, FAIR, []])


def test_margin_and_start():
    assert not hopeless([0.1, 0.25], FINISHED, margin=0.1)
    assert hopeless([0.0], FINISHED, start_epoch=1)
    assert not hopeless([0.0, 0.0, 0.0], FINISHED, start_epoch=4)


def test_known_length_and_shorter_peers():
    assert hopeless([0.1] * 5, FINISHED, epochs=9), "peers that ended earlier count with their best"
    assert not hopeless([0.1] * 2, FINISHED, epochs=2)


def test_the_assessor_learns_from_those_that_ended_well():
    pytest.importorskip("nni")
    from nni.assessor import AssessResult

    from tuners.median_of_finished import MedianOfFinished

    assessor = MedianOfFinished()
    for name, curve in (("a", GOOD), ("b", FAIR), ("failed", GOOD), ("c", POOR)):
        for epoch in range(1, 5):
            history = [{"default": value, "loss": 1.0} for value in curve[:epoch]]
            assert assessor.assess_trial(name, history) is AssessResult.Good
        assessor.trial_end(name, name != "failed")
    assert len(assessor.finished) == 3
    assert assessor.assess_trial("d", [0.1, 0.2]) is AssessResult.Bad
    assessor.trial_end("d", False)
    assert len(assessor.finished) == 3
    assessor.trial_end("never seen", True)
