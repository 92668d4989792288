"""A command that is killed at any of its writes works when it is run again, with the same result, and leaves no half file."""

import pytest

from analysis.pipeline import retrain_and_submit
from analysis.recipes import read_recipe
from tests import forked
from tests.analysis.fake_experiment import trained

pytestmark = pytest.mark.slow

# Runs a command in a fork, counts its moves of written files to their places, then runs it again for some of these moves
# and ends it there: before the move, or right after it. Prints what the same command, run after that, returned.
SCRIPT = """
import os, sys
from pathlib import Path
from analysis import __main__ as analysis, ensemble, pipeline
replace, words = os.replace, sys.argv[2:]

def forked(out, kill=None, after=False):
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    moves = 0
    def move(*names):
        nonlocal moves
        moves += 1
        if moves != kill:
            return replace(*names)
        if after:
            replace(*names)
        os._exit(9)
    os.replace = move
    try:
        analysis.app([word.replace("OUT", str(out)) for word in words], standalone_mode=False)
    except BaseException as error:
        print("ERROR", error, file=sys.stderr, flush=True)
        os._exit(1)
    Path("moves").write_text(str(moves))
    os._exit(0)

assert forked(Path("whole")) == 0
moves = int(Path("moves").read_text())
for number in range(1, moves + 1, max(1, moves // int(sys.argv[1]))):
    out = Path(f"killed{number}")
    code = forked(out, number, after=number % 2)
    assert code in (0, 9), code
    if code:  # else it wrote fewer checkpoints this time, and came to its end
        print("tried", out, forked(out), flush=True)
"""


@pytest.fixture(scope="module")
def experiment(people, tmp_path_factory):
    return trained(tmp_path_factory.mktemp("killed") / "two", people)


@pytest.fixture(scope="module")
def bundle(people, experiment, tmp_path_factory):
    """The folder of a submission that can be made again."""
    out = tmp_path_factory.mktemp("killed") / "bundle"
    retrain_and_submit(read_recipe(experiment.folder / "trials" / "t0" / "config.json"), people, out, {})
    return out


COMMANDS = {
    "predict": ["predict", "RUN0", "--data", "DATA", "--out", "OUT"],
    "ensemble": ["ensemble", "RUN0", "RUN1", "--data", "DATA", "--out", "OUT", "--vote", "soft"],
    "export-best": ["export-best", "EXPERIMENT", "--top", "2", "--out", "OUT"],
    "retrain": ["retrain", "RUN0/config.json", "--data", "DATA", "--out", "OUT"],
    "export-best-and-retrain": [
        "export-best-and-retrain", "EXPERIMENT", "--data", "DATA", "--top", "2", "--out", "OUT"
    ],
    "reproduce": ["reproduce", "BUNDLE", "--data", "DATA", "--out", "OUT"],
}  # fmt: skip
RESULTS = ("submission.csv", "predictions.csv", "1.json", "2.json", "trials.csv")


@pytest.mark.parametrize("name", COMMANDS)
def test_killed_at_any_write_it_does_the_same_when_run_again(people, experiment, bundle, tmp_path, name):
    runs = experiment.folder / "trials"
    places = {"RUN0": runs / "t0", "RUN1": runs / "t1", "DATA": people, "EXPERIMENT": experiment.folder}
    places["BUNDLE"] = bundle
    words = COMMANDS[name]
    for place, path in places.items():
        words = [word.replace(place, str(path)) for word in words]
    done = forked.run(
        "-c",
        SCRIPT,
        "3" if name.endswith(("retrain", "reproduce")) else "8",
        *words,
        cwd=tmp_path,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    tries = dict(line.split()[1:] for line in done.stdout.splitlines() if line.startswith("tried "))
    assert len(tries) >= 3 and set(tries.values()) == {"0"}, (tries, done.stderr)
    whole = tmp_path / "whole"
    for out in map(tmp_path.joinpath, tries):
        assert names(out) == names(whole), out
        for result in RESULTS:
            if (whole / result).exists():
                assert (out / result).read_bytes() == (whole / result).read_bytes(), (out, result)


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
