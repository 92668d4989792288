"""What audits and an ensemble wrote is on the page of a run and of an experiment, and what is missing is named."""

import re

import pytest

from analysis.__main__ import app
from analysis.ensemble import ensemble
from analysis.report.checks import checks_of, read_checks, ways_of
from analysis.submission import read_about
from analysis.trust.audited import LEAKAGE, MAX_EXAMPLES, SHIFT, Example, keep, read_audited
from common.errors import UsageError
from dataset.fingerprint import fingerprint
from dataset.read import read_train
from tests.analysis import example_search
from tests.analysis.audit.test_sheet import answers, other
from tests.analysis.fake_experiment import make_experiment, record
from tests.analysis.fake_run import untrained
from tests.conftest import call
from trial.run_folder.record import RunFolder


def text_of(page) -> str:
    text = re.sub(r"<script.*?</script>|<style.*?</style>", "", page.read_text(), flags=re.DOTALL)
    return re.sub(r'"data:image[^"]*"', '"picture"', text)


@pytest.fixture(scope="module")
def run(people, tmp_path_factory):
    """A run whose answers contradict some labels."""
    task, table = read_train(people)
    found = answers(task, table, other(task, table))
    mark = fingerprint(people)
    folder = tmp_path_factory.mktemp("runs") / "mine"
    return untrained(folder, 0, found, mark, values={"data": str(people)}).folder


@pytest.fixture(scope="module")
def kept(run, people, tmp_path_factory):
    """The --out folders of three audits."""
    out = tmp_path_factory.mktemp("out")
    assert call(app, "labels", run, "--out", out / "labels").exit_code == 0
    photo = read_train(people).table["path"].iloc[0]
    pairs = [
        Example(f"p{one} and p2", "alike, folds 0 and 1", ((photo, "a"), ("gone", "b"))) for one in range(9)
    ]
    keep(out / "leakage", LEAKAGE, ["perhaps the same person: 9 pairs"], people, [], "leakage.html", pairs)
    keep(out / "shift", SHIFT, ["so no shift is seen"], people)
    return out


def test_what_was_kept_is_read_back(kept, people):
    found = read_audited(kept / "leakage")
    assert found.data_fingerprint == fingerprint(people) and found.page == "leakage.html"
    assert len(found.examples) == MAX_EXAMPLES and found.examples[0].photos[1] == ("gone", "b")
    labels = read_audited(kept / "labels")
    assert labels.lines[0] == "audited: the labels of 30 of 30 people"
    assert {one.words.partition(" ")[0] for one in labels.examples} >= {"gender", "mask"}
    assert not any("page:" in line for line in labels.lines)


def test_a_runs_page_shows_them_and_names_what_is_missing(run, kept, tmp_path):
    words = ["--with", kept / "leakage", "--with", kept / "labels", "--out", tmp_path / "r.html"]
    done = call(app, "report", run, *words)
    assert done.exit_code == 0, done.stderr
    text = text_of(tmp_path / "r.html")
    for shown in ("Labels that are probably wrong", "audited: the labels of 30 of 30 people",
                  "perhaps the same person: 9 pairs", f"{kept}/leakage/leakage.html", "p0 and p2"):  # fmt: skip
        assert shown in text
    assert text.index("Labels that") < text.index("The same on both sides"), "in the page's own order"
    assert text.count('<article class="card">') == len(read_audited(kept / "labels").examples) + MAX_EXAMPLES
    assert (
        "Not looked at yet: shift<" in text and f"analysis shift {read_audited(kept / 'labels').data}" in text
    )
    again = re.search(r"python -m analysis report (.*?)</pre>", text)
    assert again and again[1].endswith(f"--with {kept}/labels --with {kept}/leakage --with out/shift")
    assert "other files than" not in text


def test_a_page_without_them_names_the_command_of_each(run, tmp_path):
    assert call(app, "report", run, "--out", tmp_path).exit_code == 0  # a folder, as elsewhere
    text = text_of(tmp_path / "report.html")
    assert "Not looked at yet: labels, leakage, shift<" in text
    assert f"python -m analysis labels {run} --out out/labels" in text


@pytest.mark.slow
def test_an_experiments_page_shows_an_ensemble_and_suggests_one(run, people, tmp_path):
    folder, mark = tmp_path / "x", fingerprint(people)
    make_experiment(folder, {"seed": {"_type": "choice", "_value": [0, 1]}})
    task, table = read_train(people)
    runs = []
    for seed in (0, 1):
        where = record(folder, f"t{seed}", {"seed": seed})
        found = answers(task, table, table["label"].to_numpy(), seed)
        runs.append(untrained(where, seed, found, mark, values={"data": str(people)}).folder)
    page = tmp_path / "r.html"
    assert call(app, "report", folder, "--out", page).exit_code == 0
    text = text_of(page)
    assert "Not looked at yet: labels, leakage, shift, ensemble<" in text
    assert f"python -m analysis ensemble {runs[0]} {runs[1]} --data {people} --out out/ensemble" in text
    ensemble(runs, people, tmp_path / "voted")
    assert call(app, "report", folder, "--with", tmp_path / "voted", "--out", page).exit_code == 0
    text = text_of(page)
    assert "Not looked at yet: labels, leakage, shift<" in text
    about = read_about(tmp_path / "voted")
    ways = ways_of(about)
    assert ways["words"] in text and len(ways["rows"]) == 4 and sum(row["taken"] for row in ways["rows"]) == 1
    assert all(row["adds"].startswith(("+", "-")) for row in ways["members"]) or about["vote"] == "stacking"
    assert ways["words"] in text_of(tmp_path / "voted" / "report.html"), "and on the ensemble's own page"


def test_of_other_data_is_said(run, kept, people, tmp_path):
    elsewhere = untrained(tmp_path / "run", 0, example_search.validation(20), values={"data": str(people)})
    found = checks_of(read_checks([kept / "shift"]), RunFolder(elsewhere.folder), "x")
    assert "other files than the run" in found["checks"][0]["alarm"]
    assert checks_of(read_checks([kept / "shift"]), RunFolder(run), "x")["checks"][0]["alarm"] == ""


def test_folders_that_hold_no_check_are_refused_all_at_once(run, kept, tmp_path):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "audit.json").write_text('{"kind": "labels"')
    (tmp_path / "odd").mkdir()
    text = (kept / "shift" / "audit.json").read_text()
    (tmp_path / "odd" / "audit.json").write_text(text.replace('"shift"', '"drift"'))
    (tmp_path / "vote").mkdir()
    (tmp_path / "vote" / "submission.json").write_text(
        '{"vote_asked": "auto", "vote": "soft", "ways": {"hard": {}}}'
    )
    with pytest.raises(UsageError) as error:
        read_checks([tmp_path / "none", run, *(tmp_path / name for name in ("broken", "odd", "vote"))])
    assert [words.partition(": ")[2][:12] for words in error.value.errors] == [
        "holds no aud", "holds no aud", "is damaged (", "is damaged (", "is damaged ("
    ]  # fmt: skip
    done = call(app, "report", run, "--with", tmp_path / "none", "--out", tmp_path / "r.html")
    assert done.exit_code == 2 and "give an --out of labels, leakage, shift, or ensemble" in done.stderr
    both = call(app, "report", run, run, "--with", kept / "shift")
    assert both.exit_code == 2 and "not for comparing two" in both.stderr
