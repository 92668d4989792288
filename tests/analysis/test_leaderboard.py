"""The log of submissions: what was promised, what the leaderboard said, what to send next."""

import json
from dataclasses import asdict

import numpy as np
import pytest

from analysis import leaderboard
from analysis.__main__ import app
from analysis.leaderboard import Entry, add, bias, candidates, entry_of, lines, read_log
from analysis.submission import write_submission
from common.errors import UsageError
from dataset.face_masks.labels import FACE_MASK
from tests.conftest import call


def made(folder, seed=0, promise=None, promise_facts=None, **about):
    """A submission of other answers for each seed."""
    random = np.random.default_rng(seed)
    if promise_facts is not None:
        about["promise"] = promise_facts
    if promise is not None:
        about["promise"] = {
            "macro_f1": promise,
            "low": round(promise - 0.05, 4),
            "high": round(promise + 0.05, 4),
            "chosen_from": 9,
        }
    write_submission(folder, ["a.jpg", "b.jpg", "c.jpg"], random.dirichlet(np.ones(18), 3), about, FACE_MASK)
    return folder


def test_what_was_handed_in_is_read_back(tmp_path):
    log = tmp_path / "log.json"
    entry = add(made(tmp_path / "a", promise=0.6), path=log)
    assert (entry.promise, entry.low, entry.high, entry.corrected) == (0.6, 0.55, 0.65, True)
    add(made(tmp_path / "b", 1) / "submission.csv", 0.4, log)
    first, second = read_log(log)
    assert first == entry and first.score is None
    assert (second.promise, second.score, second.verdict()) == (None, 0.4, "nothing was promised")
    add(tmp_path / "a", 0.61, log)
    first, _ = read_log(log)
    assert (first.score, first.handed_in) == (0.61, entry.handed_in), "the score of the same submission"


def test_by_the_log_loss_other_probabilities_are_another_submission(tmp_path):
    recipe, log = {"metric": "log_loss"}, tmp_path / "out" / "log.json"
    one, other, third = (made(tmp_path / "out" / name, recipe=recipe) for name in "abc")
    for folder in (other, third):  # the same answers, more confident
        text = (folder / "predictions.csv").read_text()
        (folder / "predictions.csv").write_text(text.replace("0.1", "0.2"))
    add(one, 0.5, log)
    add(other, 0.7, log)
    assert [entry.score for entry in read_log(log)] == [-0.5, -0.7]
    assert candidates(read_log(log), tmp_path / "out") == []
    old = [{**asdict(read_log(log)[0]), "predictions": ""}]  # as earlier versions wrote it
    log.write_text(json.dumps(old))
    add(other, 0.7, log)
    assert len(read_log(log)) == 1


def test_a_known_score_is_not_replaced_without_a_word(tmp_path, capsys):
    log = tmp_path / "log.json"
    folder = made(tmp_path / "a")
    for score in (0.4, None, 0.4):
        add(folder, score, log)
    assert capsys.readouterr().out == ""
    assert add(folder, 0.5, log).score == 0.5
    assert "a was 0.4000 before; it is replaced" in capsys.readouterr().out


def test_whether_a_gap_is_noise_follows_from_both_errors(tmp_path):
    entry = Entry("x", "s", "macro_f1", 0.6, 0.55, 0.65, True, noise=0.0)
    assert entry.margin == pytest.approx(0.05)
    even = Entry("x", "s", "macro_f1", 0.6, 0.55, 0.65, True, noise=0.05 / 1.96)
    assert even.margin == pytest.approx(0.05 * 2**0.5)
    for score, words in (
        (0.66, "within noise"),
        (0.53, "within noise"),
        (0.5, "the leaderboard is lower"),
        (0.7, "is higher"),
    ):
        scored = Entry(**{**even.__dict__, "score": score})
        assert words in scored.verdict()
    cut = Entry("x", "s", "macro_f1", 0.975, 0.916, 1.0, True, noise=0.0, score=0.918)
    assert "within noise" in cut.verdict(), "it lies within the interval, whose upper side ends at 1"
    cut_off = entry_of(made(tmp_path / "cut", promise_facts={"macro_f1": 0.975, "low": 0.916, "high": 1.0}))
    assert cut_off.noise == pytest.approx(0.059 / 1.96)
    # As many validation photos as photos to predict, or four times as many.
    seen = {"photos": 12, "groups": 4}
    more = entry_of(made(tmp_path / "a", promise=0.6, validation=seen))
    assert more.noise == pytest.approx(0.05 / 1.96 * 2)
    assert entry_of(made(tmp_path / "b", promise=0.6)).noise == pytest.approx(0.05 / 1.96), "not known"
    # The interval is over the people of further folds, too, so a score on the same photos is as noisy as before.
    facts = {"macro_f1": 0.6, "low": 0.55, "high": 0.65, "chosen_from": 3, "groups": 16}
    confirmed = entry_of(made(tmp_path / "c", validation=seen, promise_facts=facts))
    assert confirmed.noise == pytest.approx(0.05 / 1.96 * 4)


def test_the_interval_covers_the_leaderboard_as_often_as_it_says():
    """Promises and scores drawn with the errors that they state."""
    random = np.random.default_rng(0)
    error, noise, true = 0.03, 0.02, 0.6
    inside = 0
    for _ in range(2000):
        promise, score = true + random.normal(0, error), true + random.normal(0, noise)
        low, high = promise - 1.96 * error, promise + 1.96 * error
        inside += (
            "within" in Entry("x", "s", "macro_f1", promise, low, high, True, noise, score=score).verdict()
        )
    assert 0.93 < inside / 2000 < 0.97


def test_the_running_bias():
    entries = [
        Entry("x", str(n), "macro_f1", 0.6, 0.5, 0.7, True, 0.1, score=score)
        for n, score in enumerate((0.55, 0.57, 0.53))
    ]
    mean, margin, number = bias(entries, entries[0])
    assert (mean, number) == (pytest.approx(-0.05), 3)
    assert margin == pytest.approx(4.3027 * 0.02 / 3**0.5, rel=1e-3)
    assert bias(entries[:1], entries[0]) == (pytest.approx(-0.05), None, 1)
    assert bias([], entries[0]) is bias(entries, Entry("x", "3", "log_loss")) is None


def test_submissions_of_different_metrics_are_not_compared():
    def entry(metric, number, promise, score=None):
        low, high = promise - 0.05, promise + 0.05
        return Entry(
            f"/{metric}{number}/x", f"{metric}{number}", metric, promise, low, high, True, 0.01, "", score
        )

    log = [entry("macro_f1", 0, 0.6, 0.55), entry("log_loss", 0, -0.5, -0.8)]
    said = "\n".join(lines(log, [entry("log_loss", 1, -0.4), entry("macro_f1", 1, 0.7)]))
    assert "running bias of the macro-F1 (leaderboard minus promise): -0.050 over 1 scored" in said
    assert "running bias of the negative log loss (leaderboard minus promise): -0.300 over 1 scored" in said
    assert "send next: /log_loss1: negative log loss -0.400 promised" in said
    assert "-0.700 expected" in said and "promised more" not in said and "macro_f11" not in said


def test_submissions_for_other_photos_are_not_compared(tmp_path):
    """The demo's, say, on drawn people, beside those of a competition."""
    sent, drawn, next_one = (made(tmp_path / name, n, 0.6 + n / 10) for n, name in enumerate("abc"))
    text = (drawn / "submission.csv").read_text()
    (drawn / "submission.csv").write_text(text.replace(".jpg", ".png"))
    log = tmp_path / "log.json"
    add(sent, 0.55, log)
    said = lines(read_log(log), candidates(read_log(log), tmp_path))
    assert said[-1].startswith(f"send next: {next_one}: macro-F1 0.800") and str(drawn) not in said[-1]
    add(drawn, 0.9, log)
    said = lines(read_log(log), candidates(read_log(log), tmp_path))
    assert [line.partition(" over")[0] for line in said[-3:-1]] == [
        f"running bias on the photos of {sent} (leaderboard minus promise): -0.050",
        f"running bias on the photos of {drawn} (leaderboard minus promise): +0.200",
    ]
    assert "0.750 expected" in said[-1]
    old = [{**one, "photos": ""} for one in json.loads(log.read_text())]  # as earlier versions wrote it
    log.write_text(json.dumps(old))
    assert lines(read_log(log), candidates(read_log(log), tmp_path)) == said
    (drawn / "submission.csv").unlink()
    assert read_log(log)[1].photos == "" and read_log(log)[0].is_comparable(read_log(log)[1])


def test_one_for_unknown_photos_does_not_join_the_photos_of_others():
    log = [
        Entry(f"out/{name}/submission.csv", name, "macro_f1", 0.6, 0.5, 0.7, True, score=score, photos=photos)
        for name, score, photos in (("old", 0.6, ""), ("a", 0.5, "one set"), ("b", 0.8, "another"))
    ]
    said = [line for line in lines(log, []) if "running bias" in line]
    assert [line.partition(": ")[2][:6] for line in said] == ["-0.050", "+0.100"]


def test_the_command_says_what_to_send_next(tmp_path):
    root = tmp_path / "out"
    made(root / "sent", 0, 0.60)
    made(root / "good", 1, 0.64)
    made(root / "as_good", 2, 0.62)
    made(root / "worse", 3, 0.3)
    made(root / "nothing", 4)
    made(root / "good" / "best" / "1", 5, 0.9)  # a member of a vote is no candidate
    (root / "damaged").mkdir()
    (root / "damaged" / "submission.csv").write_text("ImageID,ans\n")
    (root / "damaged" / "submission.json").write_text("{")
    log = root / "submissions.json"
    said = call(app, "submissions", root / "sent", "--score", "0.55", "--log", log)
    assert said.exit_code == 0
    for words in ("1 handed in", "macro-F1 0.600 promised (0.550 to 0.650), leaderboard 0.550, gap -0.050: within noise",
                  "running bias (leaderboard minus promise): -0.050 over 1 scored",
                  f"send next: {root / 'good'}: macro-F1 0.640 promised (0.590 to 0.690), 0.590 expected with the running bias",
                  f"{root / 'as_good'} may be as good"):  # fmt: skip
        assert words in said.stdout
    assert "worse may" not in said.stdout
    for name in ("good", "as_good"):
        call(app, "submissions", root / name, "--log", log)
    said = call(app, "submissions", "--log", log)
    assert "3 handed in" in said.stdout and "no score yet" in said.stdout
    better = f"nothing better to send; the best of the others is {root / 'worse'}: macro-F1 0.300 promised"
    assert better in said.stdout and "what was sent promised more (0.640)" in said.stdout
    assert [one.promise for one in candidates(read_log(log), root)] == [0.3, None]


def test_a_validation_score_is_a_promise_that_is_not_corrected(tmp_path):
    entry = entry_of(made(tmp_path / "a", validation={"macro_f1": 0.5, "low": 0.4, "high": 0.6}))
    assert (entry.promise, entry.corrected) == (0.5, False)
    assert "not corrected for the choice" in leaderboard.lines([entry], [])[1]


def test_promises_that_are_not_corrected_for_the_choice_are_not_sorted_among_those_that_are(tmp_path):
    made(tmp_path / "corrected", 0, 0.60)
    made(tmp_path / "flattered", 1, validation={"macro_f1": 0.7, "low": 0.6, "high": 0.8})
    single = {"macro_f1": 0.65, "low": 0.6, "high": 0.7, "chosen_from": 1}
    made(tmp_path / "single", 2, promise_facts=single)
    waiting = candidates([], tmp_path)
    assert [(one.promise, one.corrected) for one in waiting] == [(0.6, True), (0.7, False), (0.65, False)]
    said = leaderboard.lines([], waiting)[-1]
    assert said.startswith(f"send next: {tmp_path / 'corrected'}: macro-F1 0.600 promised")
    assert f"not corrected for the choice: {tmp_path / 'flattered'}, {tmp_path / 'single'}" in said
    assert "may be as good" not in said
    assert "may be as good" in leaderboard.lines([], waiting[1:])[-1]


def test_a_vote_has_the_promise_of_its_best_member_and_says_so(tmp_path):
    facts = {"macro_f1": 0.6, "low": 0.55, "high": 0.65, "chosen_from": 9}
    about = {"promise_of_best_member": facts, "validation": {"macro_f1": 0.7, "low": 0.6, "high": 0.8}}
    entry = entry_of(made(tmp_path / "vote", **about))
    assert (entry.promise, entry.corrected, entry.of) == (0.6, True, "the best member")
    assert "macro-F1 0.600 promised of the best member" in leaderboard.lines([entry], [])[1]
    alone = entry_of(made(tmp_path / "b", 1, validation={"none": "no photos in common"}))
    assert alone.promise is None


def test_a_log_loss_is_entered_as_it_is(tmp_path):
    task = {"metric": "log_loss"}
    folder = made(tmp_path / "a", recipe=task)
    with pytest.raises(UsageError, match="not a log loss, which is 0 or more"):
        add(folder, -0.5, tmp_path / "log.json")
    assert add(folder, 0.5, tmp_path / "log.json").score == -0.5


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere"], "nowhere: does not exist; give a submission.csv"),
        (["bare"], "has no submission.json beside it"),
        (["a", "--score", "61"], "not a macro-F1, from 0 to 1"),
        (["a", "--score", "nan"], "not a macro-F1"),
        (["--score", "0.6"], "needs the submission"),
        (["a", "--log", "bad.json"], "bad.json: is damaged"),
    ],
)
def test_mistakes_are_refused_in_words(tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    made(tmp_path / "a", promise=0.6)
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "submission.csv").write_text("ImageID,ans\na.jpg,0\n")
    (tmp_path / "bad.json").write_text(json.dumps([{"name": 1}]))
    log = [] if "--log" in words else ["--log", "log.json"]
    done = call(app, "submissions", *words, *log)
    assert done.exit_code == 2
    assert said in done.stderr
    assert not (tmp_path / "log.json").exists()
