"""Do the whole job in one command: search, best recipe, retraining, submission, report."""

import os
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

from analysis.pipeline import export_best_and_retrain
from analysis.score import score_line, score_submission
from analysis.trials.flatten import flat
from analysis.trials.ranking import Ranking, rank
from analysis.trials.table import Experiment, trial_table
from common.errors import UsageError
from common.files import only_writer_of_out
from common.machine import PROJECT
from common.text import fixed_text, path_text, value_text
from dataset.face_masks import layout
from dataset.face_masks.drawing.synthetic import draw
from dataset.read import read_eval
from experiments.check import check
from experiments.run import ExperimentResult, run_plan
from trial.commands.arguments import parse_arguments
from trial.models.weights import HSE_FACERES, fetched_path
from trial.run_folder.record import RunFolder

OUT = PROJECT / "out" / "demo"
PEOPLE, EVAL_PEOPLE = 100, 60
# For prediction, by experiment. flip_crops gains most of all that costs no training (docs/ablation.md), but a
# large network takes longer for its twelve views of each photo than for all the rest.
TTA = {"demo": "flip_crops", "demo_photos": "flip_crops", "demo_faces": "flip"}
KEEP = {"demo_faces": 3}  # trials that keep their networks, five each; default: all


@only_writer_of_out
def demo(data: Path | None = None, out: Path = OUT, settings: Iterable[str] = ()) -> None:
    """Search, export, retrain and write a submission into `out`; an earlier result is moved aside.

    `data`: a data set in any format; None: people are drawn into OUT/data. `settings`: `key=value` words,
    fixed for all trials, such as seed=1. UsageError lists the errors in the photos, or says that there are
    none to predict: the job ends in a submission.
    """
    settings = list(settings)
    name = _experiment_for(data, settings)
    yaml, tta = PROJECT / "experiments" / f"{name}.yaml", TTA[name]
    if data is not None:  # checked before the earlier result is moved
        if data.resolve().is_relative_to(out.resolve()):
            raise UsageError(
                f"{data} lies in {path_text(out)}, which is moved aside; copy the photos elsewhere"
            )
        plan = check(yaml, data, settings=settings, keep=KEEP.get(name))
        read_eval(data, str(parse_arguments(settings).get("group", "")))
    if (aside := move_aside(out)) is not None:
        moved = path_text(aside)
        print(f"the earlier result is now in {moved}; what its report says of {path_text(out)} lies there")
    out.mkdir(parents=True)
    answers = None
    if data is None:
        data = draw(out / "data", PEOPLE, EVAL_PEOPLE)
        answers = data / "answers.csv"
        print(f"drew {PEOPLE} people to train on and {EVAL_PEOPLE} to predict: {path_text(data)}")
        plan = check(yaml, data, settings=settings, keep=KEEP.get(name))
    result = run_plan(plan)
    experiment = Experiment(result.id, name, result.folder)
    ranking = rank(trial_table(experiment))
    try:
        export_best_and_retrain(experiment, data, out, ranking=ranking, tta=tta)
    except BaseException:  # Ctrl-C, too
        photos, folder = shlex.quote(path_text(data)), shlex.quote(path_text(out))
        print(
            "\nthe search is kept; to go on with what comes after it:\n  .venv/bin/python -m analysis "
            f"export-best-and-retrain {result.id} --data {photos} --out {folder} --tta {tta}"
        )
        raise
    _summary(result, ranking, out, answers)


def _experiment_for(data: Path | None, settings: Sequence[str]) -> str:
    """The name of the experiment for `data`."""
    if data is None:
        return "demo"
    names_network = any(word.startswith(("model=", "weights=")) for word in settings)
    if names_network or not layout.fits(data) or not (weights := fetched_path(HSE_FACERES)).is_file():
        return "demo_photos"
    print(
        f"{path_text(weights)} was fetched, so heads on what this network sees are searched. Competitions "
        "may forbid outside data; without it: make demo DATA=... SET=weights=package"
    )
    return "demo_faces"


def move_aside(out: Path) -> Path | None:
    """Rename `out` to the first free one of OUT.1, OUT.2, ...; return that path, or None without `out`."""
    if not out.exists():
        return None
    number = 1
    while (aside := out.with_name(f"{out.name}.{number}")).exists():
        number += 1
    os.rename(out, aside)
    return aside


def _summary(result: ExperimentResult, ranking: Ranking, out: Path, answers: Path | None) -> None:
    best, table = ranking.best().iloc[0], ranking.table
    run = RunFolder(Path(best["folder"]))
    recipe, groups = flat(run.config()), run.task().groups
    print(f"\nbest recipe (trial #{best['sequence']} of {len(table)}):")
    searched = [name for name in table.attrs["searched"] if name in recipe]
    print("  " + "  ".join(f"{name}={value_text(recipe[name])}" for name in searched))
    for name, row in ranking.roles(best).items():
        score = "did not finish" if row is None else f"{ranking.score} {fixed_text(row[ranking.column])}"
        note = "" if row is None or row["state"] == "done" else f" so far ({row['state'].replace('_', ' ')})"
        print(f"  {name:8} {score}{note}")
    print(
        f"  (on validation {groups}, none of whose photos was trained on; the best of several is too high by "
        "chance)"
    )
    print(
        f"\nsubmission:  {path_text(out / 'submission.csv')}\nreport:      {path_text(out / 'report.html')}"
    )
    print(f"NNI's page:  {result.view_command}")
    score = f".venv/bin/python -m analysis score {shlex.quote(path_text(out / 'submission.csv'))}"
    if answers is None:
        print(f"score it:    {score} ANSWERS.csv")
    else:
        scores = score_submission(out / "submission.csv", answers)
        print(f"\nthe submission's score on {scores['photos']:,} photos of new people:")
        print(f"  {score_line(scores)}")
        print(f"  (as: {score} {shlex.quote(path_text(answers))})")
