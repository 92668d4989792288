"""Leaders that do not differ significantly, trained on further folds."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from analysis import confirm as confirming
from analysis.__main__ import app
from analysis.confirm import Budget, confirm, further
from analysis.pipeline import export_best
from analysis.report.experiment import write_experiment_report
from analysis.trials.printing import trust_words
from analysis.trials.ranking import rank
from analysis.trials.table import find, trial_table
from analysis.trust.confirmed import FILE, read_confirmed
from common.errors import UsageError
from tests.analysis.fake_experiment import make_experiment, record
from tests.conftest import TINY, call
from trial.config import parse
from trial.run import run
from trial.run_folder.record import RunFolder, RunWriter

RATES = {"a": 0.003, "b": 0.004, "c": 1e-7}  # c learns nothing


@pytest.fixture(scope="module")
def searched(tmp_path_factory, people):
    """An experiment of three trials on five people held out, of whom little can be said."""
    folder = make_experiment(
        tmp_path_factory.mktemp("search") / "abc",
        {"learning_rate": {"_type": "loguniform", "_value": [1e-8, 1]}},
    )
    for trial, rate in RATES.items():
        given = {"learning_rate": rate}
        config = parse({**TINY, **given, "data": str(people), "folds": 6})
        writer = RunWriter(record(folder, trial, given), config)
        run(config, writer, lambda epoch: None)
        writer.end("done")
    return folder


@pytest.fixture
def experiment(searched, tmp_path):
    return find(str(shutil.copytree(searched, tmp_path / "abc")))


def ranking_of(experiment):
    return rank(trial_table(experiment))


def folders(experiment):
    return sorted(
        str(path.parent.relative_to(experiment.folder))
        for path in experiment.folder.glob("confirm/*/*/status.json")
    )


def test_further_folds_are_those_not_seen_then_those_of_other_seeds():
    one, other = (parse({**TINY, "seed": 3, "fold": fold, "folds": 3}) for fold in (1, "all"))
    some = further([one])
    assert [next(some) for _ in range(4)] == [(3, 0), (3, 2), (4, 0), (4, 1)]
    assert next(further([one, other])) == (4, 0)


@pytest.mark.slow
def test_leaders_are_trained_on_the_same_further_folds_within_the_budget(experiment, capsys):
    before = ranking_of(experiment)
    tied = 1 + len(before.leaders.equal)
    assert tied == 3  # so they do not differ significantly on the search's own people
    found = confirm(before, Budget(runs=5))
    assert (found.rounds, found.runs) == (((0, 1),), 3)  # a second round would need more than is left
    assert folders(experiment) == [f"confirm/{trial}/seed0_fold1" for trial in "abc"]
    for trial in "abc":
        its = RunFolder(experiment.folder / "confirm" / trial / "seed0_fold1").config()
        assert (its.fold, its.seed, its.learning_rate) == (1, 0, RATES[trial])
    out = capsys.readouterr().out
    assert "3 leaders are trained on further folds, within 5 networks: " in out
    assert "fold 1 of seed 0, epoch 2/2  macro-F1 " in out
    after = ranking_of(experiment)
    assert len(after.table) == 3
    assert read_confirmed(experiment.folder / "confirm") == found
    assert after.first["trial"] == found.trials[0]
    assert sorted(after.ranked["trial"]) == sorted(before.ranked["trial"])
    written = json.loads((experiment.folder / "confirm" / FILE).read_text())
    assert written["winner"] == found.trials[0]
    assert written["equal_within_noise"] == list(found.equal)


@pytest.mark.slow
def test_it_goes_on_with_what_is_trained(experiment, monkeypatch):
    stopped = iter([None, None, KeyboardInterrupt])
    train = confirming.run

    def interrupted(config, writer, on_report, checkpoint=None):
        fails = next(stopped, None)

        def report(epoch):
            on_report(epoch)
            if fails:
                raise fails

        return train(config, writer, report, checkpoint)

    monkeypatch.setattr(confirming, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        confirm(ranking_of(experiment), Budget(runs=3))
    assert not (experiment.folder / "confirm" / FILE).exists()
    trained = []

    def counted(config, writer, on_report, checkpoint=None):
        trained.append((config.out, checkpoint.where if checkpoint else ""))
        return train(config, writer, on_report, checkpoint)

    monkeypatch.setattr(confirming, "run", counted)
    found = confirm(ranking_of(experiment), Budget(runs=3))
    ((folder, where),) = trained
    assert where == "epoch 1"
    assert RunFolder(folder).status()["state"] == "done"
    assert confirm(ranking_of(experiment), Budget(runs=3)) == found
    assert len(trained) == 1


@pytest.mark.slow
def test_rounds_that_are_trained_count_whatever_the_budget_and_the_leaders_are_now(experiment, monkeypatch):
    monkeypatch.setattr(confirming, "LEADERS", 2)
    found = confirm(ranking_of(experiment), Budget(runs=6), max_leaders=3)
    assert (len(found.rounds), found.runs) == (2, 6)
    monkeypatch.setattr(confirming, "run", None)
    assert confirm(ranking_of(experiment), Budget(runs=1)) == found
    assert confirm(ranking_of(experiment), Budget(hours=1e-6)) == found
    assert read_confirmed(experiment.folder / "confirm") == found


@pytest.mark.slow
def test_a_leader_that_is_behind_is_trained_no_further(experiment, monkeypatch, capsys):
    monkeypatch.setattr(confirming, "staying", lambda found: [found.winner])
    found = confirm(ranking_of(experiment), Budget(hours=1))
    assert (found.runs, len(found.rounds)) == (3, 1)  # one is left
    assert capsys.readouterr().out.count("is behind: ") == 2


@pytest.mark.slow
def test_a_leader_that_fails_is_left_out(experiment, monkeypatch, capsys):
    train = confirming.run

    def failing(config, *rest):
        if "/b/" in config.out:
            raise RuntimeError("out of memory\nhere")
        return train(config, *rest)

    monkeypatch.setattr(confirming, "run", failing)
    found = confirm(ranking_of(experiment), Budget(runs=3))
    assert sorted(found.trials) == ["a", "c"] and found.failed == ("b",)
    assert "failed, so #1 is left out: out of memory" in capsys.readouterr().out
    assert RunFolder(experiment.folder / "confirm/b/seed0_fold1").status()["state"] == "failed"


@pytest.mark.slow
def test_what_is_known_holds_if_the_searchs_best_one_fails(experiment, monkeypatch):
    train, best = confirming.run, ranking_of(experiment).first["trial"]

    def failing(config, *rest):
        if f"/{best}/" in config.out:
            raise ArithmeticError("the loss is not a number")
        return train(config, *rest)

    monkeypatch.setattr(confirming, "run", failing)
    found = confirm(ranking_of(experiment), Budget(runs=3))
    after = ranking_of(experiment)
    assert after.confirmed == found
    assert after.first["trial"] == found.trials[0] != best


@pytest.mark.slow
def test_leaders_trained_on_all_folds_are_confirmed_one_network_at_a_time(people, tmp_path, monkeypatch):
    folder = make_experiment(
        tmp_path / "all", {"learning_rate": {"_type": "loguniform", "_value": [1e-8, 1]}}
    )
    for trial, rate in {"a": 0.003, "b": 0.004}.items():
        given = {"learning_rate": rate}
        values = {**TINY, **given, "data": str(people), "fold": "all", "folds": 3}
        config = parse({**values, "fold_order": "one_by_one"})
        with RunWriter(record(folder, trial, given), config) as writer:
            run(config, writer, lambda epoch: None)
    ranking = ranking_of(find(str(folder)))
    of_three = [RunFolder(folder / "trials" / trial).status()["seconds"] for trial in "ab"]
    found = confirm(ranking, Budget(hours=sum(of_three) / 2.5 / 3600))
    assert found.rounds[0] == (1, 0)
    assert RunFolder(folder / "confirm" / "a" / "seed1_fold0").config().fold == 0
    monkeypatch.setattr(confirming, "run", None)
    assert confirm(ranking, Budget(runs=found.runs)) == found, "what is trained is not trained again"


def test_what_cannot_be_confirmed_is_refused_before_anything_is_trained(experiment, tmp_path, people):
    ranking = ranking_of(experiment)
    for words, ask in {
        "1 network is too little: one network of each of 3 leaders makes 3 networks; ": lambda: confirm(
            ranking, Budget(runs=1)
        ),
        "0 h of training is too little: one network of each of 3 leaders takes about ": lambda: confirm(
            ranking, Budget(hours=0)
        ),
        "learning_rate: leaders are compared as they are; only where they run": lambda: confirm(
            ranking, Budget(runs=3), places={"learning_rate": 0.1}
        ),
        r"\Athe search was trained on other data than \S+ holds now: .* or rsync -a\)\Z": lambda: confirm(
            ranking, Budget(runs=3), data=other(people, tmp_path)
        ),
        "--confirm-hours compares the leaders of all networks": lambda: export_best(
            experiment, tmp_path / "out", model="test_resnet", hours=1
        ),
    }.items():
        with pytest.raises(UsageError, match=words):
            ask()
    labels = tmp_path / "corrections.csv"
    labels.write_text("id,field,recorded,corrected\n")
    for name, more in (
        ("config", {"corrections": str(labels)}),
        ("origin", {"label_files": {"corrections": "0"}}),
    ):
        path = experiment.folder / "trials" / "a" / f"{name}.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | more))
    with pytest.raises(UsageError, match=r"the search was trained with other labels than .*; put back what"):
        confirm(ranking, Budget(runs=3))
    assert folders(experiment) == []
    asked = call(app, "confirm", experiment.folder)
    assert (asked.exit_code, "give a budget: --hours 2" in asked.stderr) == (2, True)


def other(people, folder):
    copy = shutil.copytree(people, folder / "set", symlinks=True)
    next(copy.rglob("*.jpg")).write_bytes(b"another photo")
    return copy


@pytest.mark.slow
def test_the_commands_say_what_is_confirmed(experiment, tmp_path):
    done = call(app, "confirm", experiment.folder, "--runs", "3", "threads=1")
    assert done.exit_code == 0, done.stderr
    last = done.stdout.splitlines()[-1]
    assert last.startswith("Promise of the best one on new people: macro-F1 ")
    assert (
        "for being the best of 3 leaders there. On the 5 people of 1 further fold it is not significantly "
        "different from #" in last
    )
    ranking = ranking_of(experiment)
    assert trust_words(ranking)[0] == last
    assert ranking.rule.endswith("the one that is best on 1 further fold.")
    page = write_experiment_report(experiment, tmp_path / "r.html", ranking, ranking.first).read_text()
    assert "of the best 3 trials, on 1 further fold<" in page
    assert "three neighbouring epochs, the leaders by 1 further fold." in page
    assert ranking.leaders.facts()["confirmed_on"] == [[0, 1]]
    found = read_confirmed(experiment.folder / "confirm")
    hours = (found.seconds + 0.1) / 3600  # for what is trained already; `seconds` is rounded to .1
    done = call(app, "export-best", experiment.folder, "--out", tmp_path / "best", "--confirm-hours", hours)
    assert done.exit_code == 0, done.stderr
    assert "epoch 1/2" not in done.stdout
    recipe = json.loads((tmp_path / "best" / "1.json").read_text())
    assert recipe["recipe"]["learning_rate"] == RATES[found.trials[0]]


@pytest.mark.slow
def test_a_result_is_used_only_while_it_holds(experiment):
    confirm(ranking_of(experiment), Budget(runs=3))
    path = experiment.folder / "confirm" / FILE
    good = path.read_text()
    first = ranking_of(experiment).leading[0].name
    for text, words in {
        good.replace(
            f'"trial": "{first}"', '"trial": "z"'
        ): "the search has other leaders than when they were confirmed",
        good.replace('"runs"', '"ran"'): f"the leaders were confirmed, but {path}: is damaged",
        good[:90]: "is damaged",
    }.items():
        path.write_text(text)
        ranking = ranking_of(experiment)
        assert ranking.confirmed is None
        assert ranking.first["trial"] == first
        assert any(words in note for note in trust_words(ranking))


def test_what_was_confirmed_of_other_leaders_is_forgotten_if_there_is_nothing_to_confirm(experiment, capsys):
    """Else every table would ask for the command again, which has nothing to do."""
    ranking = ranking_of(experiment)
    old = experiment.folder / "confirm" / FILE
    old.parent.mkdir()
    old.write_text("{}")
    alone = replace(ranking.leaders, selection=replace(ranking.leaders.selection, equal=()))
    vars(ranking)["leaders"] = alone
    assert confirm(ranking, Budget(runs=3)) is None
    assert not old.exists()
    assert "significantly better than all other trials" in capsys.readouterr().out
    other_photos = Path("validated") / "on others"
    vars(ranking)["leaders"] = replace(alone, runs=(*alone.runs, other_photos))
    confirm(ranking, Budget(runs=3))
    assert "significantly better than all others on the same photos" in capsys.readouterr().out
