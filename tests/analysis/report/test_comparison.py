"""Two experiments on one page."""

import re

import pytest

from analysis.__main__ import app
from tests.analysis import example_search
from tests.analysis.fake_experiment import finished
from tests.analysis.fake_run import untrained
from tests.conftest import TINY, call


def text_of(page) -> str:
    return re.sub(r"<script.*?</script>|<style.*?</style>", "", page.read_text(), flags=re.DOTALL)


def runs(folder, names, seed=0, better=0.0):
    """A folder of runs validated on the same photos; `better`: by how much likelier the true class is."""
    for number, name in enumerate(names):
        validation = example_search.validation(300)
        columns = [f"p{label:02d}" for label in range(18)]
        random = example_search.validation(300, seed=seed + number)[columns].to_numpy()
        validation[columns] = random
        for row, label in enumerate(validation["label"]):
            validation.loc[row, columns[label]] += better
        validation[columns] = validation[columns].div(validation[columns].sum(1), axis=0)
        untrained(folder / name, number, validation)
    return folder


def test_the_better_one_is_named_with_its_interval(tmp_path):
    one, other = runs(tmp_path / "one", "ab", 5), runs(tmp_path / "other", "c", 9, better=2.0)
    said = call(app, "report", one, other, "--out", tmp_path / "c.html")
    assert said.exit_code == 0
    text = text_of(tmp_path / "c.html")
    assert (
        "other is better, by the best trials on the 43 people that both were validated on: macro-F1 " in text
    )
    assert re.search(r"difference -0\.\d+ \(-0\.\d+ to -0\.\d+\)", text)
    assert "one: 2 trials: 2 finished." in text and "other: 1 trial: 1 finished." in text
    assert "The time of search is not known of both" in text
    assert text.count('class="figure"') == 1, "recalls"
    same = call(app, "report", one, one, "--out", tmp_path / "s.html")
    assert same.exit_code == 0
    assert "are not significantly different" in text_of(tmp_path / "s.html")


@pytest.mark.parametrize(
    ("wanted", "words"),
    [("nowhere", "experiment"), ("empty", "no trial has finished"), ("loss", "different metrics")],
)
def test_what_can_not_be_compared_is_refused(tmp_path, monkeypatch, wanted, words):
    monkeypatch.chdir(tmp_path)
    runs(tmp_path / "one", "a")
    finished(tmp_path / "empty" / "x", TINY, 0.3, state="failed")
    finished(tmp_path / "loss" / "x", {**TINY, "metric": "accuracy"}, 0.3, score=0.4)
    said = call(app, "report", "one", wanted, "--out", "c.html")
    assert said.exit_code == 2
    assert words in said.stderr
    assert not (tmp_path / "c.html").exists()


def test_runs_of_other_photos_are_compared_as_far_as_possible(tmp_path):
    one = runs(tmp_path / "one", "a")
    validation = example_search.validation(200)
    validation["photo"] = "other/" + validation["photo"]
    untrained(tmp_path / "other" / "b", 1, validation)
    call(app, "report", one, tmp_path / "other", "--out", tmp_path / "c.html")
    text = text_of(tmp_path / "c.html")
    assert "Which is better can&#39;t be said" in text
    assert "has no photo in common" in text
