"""python -m analysis COMMAND: everything after an experiment, and a look at the data before it.

Imports that take long (torch, plotly) are inside the commands, so that each starts fast.
"""

import json
from pathlib import Path
from typing import Annotated

import typer

from analysis.predict.tta import VIEWS
from analysis.predict.vote import AUTO, WAYS
from common.errors import UsageError, exit_on_usage_error

app = typer.Typer(
    add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None, no_args_is_help=True,
    help="After an experiment: its trials, the best recipes, retraining, the submission and the report. "
    "Before it: the data, the learning rate.",
)  # fmt: skip
EXAMPLE = "Example: python -m analysis "

Wanted = Annotated[
    str, typer.Argument(metavar="EXPERIMENT", help="NNI's id, a folder, a YAML's name, or latest")
]
AnyExperiment = Annotated[
    str, typer.Argument(metavar="EXPERIMENT", help="an experiment, or a folder of runs such as out/runs")
]
Data = Annotated[Path, typer.Option(help="folder of the data set: photos to train on, and photos to predict")]
Out = Annotated[Path, typer.Option(help="folder for the result; nothing in it is overwritten")]
Top = Annotated[int, typer.Option(min=1, help="number of best recipes")]
Model = Annotated[str | None, typer.Option(help="only trials of this network, such as resnet34")]
Average = Annotated[
    int,
    typer.Option(
        min=1, help="number of last epochs whose weights are averaged (1: the last epoch's weights)"
    ),
]
ConfirmHours = Annotated[
    float | None,
    typer.Option(min=0, help="hours of training to find the best of leaders that look equal, in all calls"),
]
Values = Annotated[list[str] | None, typer.Argument(metavar="key=value ...", help="changes to the recipe")]
Tta = Annotated[str, typer.Option(help=f"test-time augmentation: {', '.join(VIEWS)}")]
Temperature = Annotated[
    float, typer.Option(help="divides the logits; above 1 makes probabilities less confident")
]
Decide = Annotated[
    str,
    typer.Option(
        help="macro_f1: rare classes are predicted as soon as that raises the macro-F1; none: the most "
        "probable class; auto: macro_f1 if the interval of its gain is above 0"
    ),
]
Combine = Annotated[
    bool,
    typer.Option(
        "--combine-photos",
        help="predict what the photos of a group (a person) share once for all; it must be known whose "
        "each photo is",
    ),
]


@app.command(epilog=EXAMPLE + "trials latest --csv trials.csv")
@exit_on_usage_error()
def trials(
    experiment: AnyExperiment,
    csv: Annotated[Path | None, typer.Option(help="also write the table to this file")] = None,
) -> None:
    """List an experiment's trials, best first.

    EXPERIMENT is NNI's id, a folder, a YAML's name, or latest. Paused, stopped, failed, mismatched and
    damaged trials are listed apart. A terminal shows the first 100 of each, a pipe or file all of them."""
    from analysis.trials.printing import print_trials, write_trials
    from analysis.trials.ranking import rank
    from analysis.trials.runs import any_table

    ranking = rank(any_table(experiment))
    print_trials(ranking)
    if csv:
        print(write_trials(ranking, csv))


@app.command(epilog=EXAMPLE + "confirm latest --hours 2")
@exit_on_usage_error()
def confirm(
    experiment: AnyExperiment,
    places: Annotated[
        list[str] | None, typer.Argument(metavar="key=value ...", help="where it runs, such as device=cuda:1")
    ] = None,
    hours: ConfirmHours = None,
    runs: Annotated[int | None, typer.Option(min=1, help="number of networks to train, in all calls")] = None,
    leaders: Annotated[
        int | None, typer.Option(min=2, help="number of leaders to compare at most [default: 5]")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="folder of the data set [default: where the trials read it]")
    ] = None,
) -> None:
    """Find the best of leaders that look equal.

    Those that the search's validation photos can't tell apart are trained on other folds, and with other
    seeds, one after the other; who falls behind is out. It ends when one is left or the budget (--hours,
    --runs) has no room for all that are left. The same command again goes on. The exports and the report take
    the result from the folder confirm/ of EXPERIMENT."""
    from analysis.confirm import Budget
    from analysis.confirm import confirm as confirmed
    from analysis.trials.printing import trust_words
    from analysis.trials.ranking import rank
    from analysis.trials.runs import any_table
    from trial.arguments import parse_arguments

    if hours is None and runs is None:
        raise UsageError("give a budget: --hours 2 of training, or --runs 10 networks")
    confirmed(rank(any_table(experiment)), Budget(runs, hours), leaders, data, parse_arguments(places or []))
    print("\n".join(trust_words(rank(any_table(experiment)))))


@app.command(epilog=EXAMPLE + "export-best demo --top 3 --out recipes/mine")
@exit_on_usage_error()
def export_best(
    experiment: Wanted, out: Out, top: Top = 1, model: Model = None, confirm_hours: ConfirmHours = None
) -> None:
    """Write the best recipes as JSON files.

    Each holds the recipe, its scores on validation photos and its origin."""
    from analysis import pipeline
    from analysis.trials.table import find

    pipeline.export_best(find(experiment), out, top, model, confirm_hours)


@app.command(
    epilog=EXAMPLE + "retrain recipes/baseline_resnet34.json epochs=10 --data input --out out/baseline"
)
@exit_on_usage_error()
def retrain(
    recipe: Annotated[Path, typer.Argument(help="a recipe's JSON, or a run's config.json")],
    values: Values = None,
    data: Data = Path("input"),
    out: Annotated[Path | None, typer.Option(help="run folder [default: out/retrained/NAME]")] = None,
    average: Average = 1,
    tta: Tta = "none",
    decide: Decide = "auto",
    combine_photos: Combine = False,
) -> None:
    """Retrain a recipe and write its submission.

    It is trained on all labelled photos; none is held out."""
    from analysis.pipeline import retrain_and_submit
    from analysis.predict.finishing import Finish
    from analysis.recipes import read_recipe
    from trial.arguments import parse_arguments

    folder = out or Path("out/retrained") / recipe.stem
    changes, finish = parse_arguments(values or []), Finish(decide, combine_photos)
    retrain_and_submit(read_recipe(recipe), data, folder, changes, average, tta, finish)
    print(f"network: {folder}\n{_submission(folder)}")


@app.command(epilog=EXAMPLE + "export-best-and-retrain latest --data input --out out/final --top 3")
@exit_on_usage_error()
def export_best_and_retrain(
    experiment: Wanted,
    values: Values = None,
    data: Data = Path("input"),
    out: Out = Path("out/final"),
    top: Top = 1,
    model: Model = None,
    average: Average = 1,
    tta: Tta = "none",
    decide: Decide = "auto",
    combine_photos: Combine = False,
    confirm_hours: ConfirmHours = None,
) -> None:
    """Retrain the best recipes; write a submission.

    The last step after an experiment: the best recipes, trained on all labelled photos, down to
    submission.csv and report.html. Several networks predict by soft vote."""
    from analysis import pipeline
    from analysis.predict.finishing import Finish
    from analysis.trials.table import find
    from trial.arguments import parse_arguments

    changes, finish = parse_arguments(values or []), Finish(decide, combine_photos)
    pipeline.export_best_and_retrain(
        find(experiment), data, out, top, model, average, changes, tta, finish=finish, hours=confirm_hours
    )
    print(_submission(out))


@app.command(epilog=EXAMPLE + "predict out/runs/20260101-120000 --data input --out out/predicted --tta flip")
@exit_on_usage_error()
def predict(
    run: Annotated[Path, typer.Argument(help="a run folder")],
    data: Annotated[
        Path | None, typer.Option(help="folder of a data set with photos to predict [default: input]")
    ] = None,
    photos: Annotated[
        Path | None, typer.Option(help="instead of --data: any folder, all images in it and below")
    ] = None,
    *,
    out: Out,
    tta: Tta = "none",
    temperature: Temperature = 1.0,
    decide: Decide = "auto",
    combine_photos: Combine = False,
) -> None:
    """Write the submission of a trained run.

    Its network, or those of its folds, predict as they are; nothing is trained."""
    from analysis.pipeline import predict_and_submit
    from analysis.predict.finishing import Finish

    if data and photos:
        raise UsageError("--data and --photos both say which photos to predict; give one of them")
    predict_and_submit(run, data, out, tta, temperature, photos, Finish(decide, combine_photos))
    print(_submission(out))


@app.command(epilog=EXAMPLE + "ensemble out/runs/a out/runs/b --vote soft --data input --out out/ensemble")
@exit_on_usage_error()
def ensemble(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="run folders; one with best/ stands for the runs in it"),
    ],
    vote: Annotated[
        str,
        typer.Option(
            help=f"how predictions are combined: {', '.join(WAYS)}; auto: the simplest that can't be told "
            "from the best"
        ),
    ] = AUTO,
    data: Data = Path("input"),
    *,
    out: Out,
    tta: Tta = "none",
    temperature: Temperature = 1.0,
    decide: Decide = "auto",
    combine_photos: Combine = False,
) -> None:
    """Write the submission of several runs.

    By a vote, a greedy selection of runs or stacking. What each way gains over the best run is estimated
    nested on the validation photos that all runs share: fitted to some people (groups), scored on others."""
    from analysis import ensemble as voting
    from analysis.predict.finishing import Finish

    voting.ensemble(runs, data, out, vote, tta, temperature, Finish(decide, combine_photos))
    print(_submission(out))


@app.command(epilog=EXAMPLE + "soup out/runs/a out/runs/b --data input --out out/runs/soup")
@exit_on_usage_error()
def soup(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="run folders")],
    data: Data = Path("input"),
    *,
    out: Out,
) -> None:
    """Average the weights of several runs.

    A greedy soup: from the best run on, each further one is kept if the validation score rises with it. The
    runs must have the same network, begun from the same pretrained weights, and the same validation photos.
    The result is a run folder."""
    from analysis.soup import soup as greedy

    greedy(runs, data, out)
    print(f"network: {out}")


@app.command(epilog=EXAMPLE + "reproduce out/final --data input --out out/again")
@exit_on_usage_error()
def reproduce(
    bundle: Annotated[Path, typer.Argument(help="a bundle.json, or the folder that holds it")],
    data: Data = Path("input"),
    *,
    out: Out,
) -> None:
    """Make a submission again from its bundle.

    It is the same, byte for byte, on the same type of machine with the same versions; else it says what
    differs, with exit code 1."""
    from analysis import pipeline

    same = pipeline.reproduce(bundle, data, out)
    print(f"submission: {out / 'submission.csv'}")
    raise typer.Exit(0 if same else 1)


@app.command(epilog=EXAMPLE + "score out/demo/submission.csv out/demo/data/answers.csv --json")
@exit_on_usage_error()
def score(
    submission: Annotated[Path, typer.Argument(help="the submission.csv to score")],
    answers: Annotated[
        Path,
        typer.Argument(
            help="the true classes: a CSV with ImageID,ans, or a data set whose photos to predict have labels"
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Print a submission's scores, with an interval.

    Macro-F1 is the mean over all classes: those in the submission.json beside the submission; without one,
    the competition's if ANSWERS has its numbers, else the names in both files."""
    from analysis.score import recall_lines, score_line, score_submission, trust_lines

    scores = score_submission(submission, answers)
    if as_json:
        print(json.dumps(scores))
        return
    print(f"{score_line(scores)}  ({scores['photos']} photos)")
    print("\n".join([*trust_lines(scores), *recall_lines(scores)]))


@app.command(epilog=EXAMPLE + "submissions out/final --score 0.61")
@exit_on_usage_error()
def submissions(
    submission: Annotated[
        Path | None, typer.Argument(help="a submission.csv that was handed in, or its folder")
    ] = None,
    score: Annotated[float | None, typer.Option(help="the leaderboard's score of it")] = None,
    log: Annotated[Path | None, typer.Option(help="the log [default: out/submissions.json]")] = None,
) -> None:
    """List what was handed in, and what to send next.

    Each has what it promised and, once you have entered it, the leaderboard's score, with whether the gap is
    noise, and the running bias. Other submissions beside the log are candidates for the next one."""
    from analysis import submissions as logged

    path = log or logged.LOG
    if submission is not None:
        logged.add(submission, score, path)
    elif score is not None:
        raise UsageError("--score needs the submission that it is of")
    handed_in = logged.read_log(path)
    print("\n".join(logged.lines(handed_in, logged.candidates(handed_in, path.parent))))


@app.command(epilog=EXAMPLE + "compare out/runs/a out/runs/b")
@exit_on_usage_error()
def compare(
    one: Annotated[Path, typer.Argument(help="a run folder")],
    other: Annotated[Path, typer.Argument(help="another run folder")],
) -> None:
    """Say whether one run is better than another.

    The difference of their scores has a 95 % interval, paired over the people (groups) that both were
    validated on."""
    from analysis.trust.compare import compare as compared

    print("\n".join(compared(one, other).lines()))


@app.command(epilog=EXAMPLE + "importance full")
@exit_on_usage_error()
def importance(
    experiment: AnyExperiment,
) -> None:
    """Say which searched parameters decide the score.

    Importance by PED-ANOVA, and what one value gives instead of another with the rest equal, both with 95 %
    intervals, from the finished trials of EXPERIMENT."""
    from analysis.trials.printing import print_attribution
    from analysis.trials.ranking import rank
    from analysis.trials.runs import any_table

    print_attribution(rank(any_table(experiment)))


@app.command(epilog=EXAMPLE + "labels out/runs/a out/runs/b --out out/labels")
@exit_on_usage_error()
def labels(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN...", help="run folders, best with fold=all; their probabilities are averaged"
        ),
    ],
    data: Annotated[
        Path | None, typer.Option(help="folder of the data set [default: where the runs read it]")
    ] = None,
    out: Annotated[Path, typer.Option(help="new folder for the result")] = Path("out/labels"),
) -> None:
    """List labels that are probably wrong.

    Networks that were not trained on a photo contradict its label (confident learning, cleanlab). What a
    person's (group's) photos share is judged over all of them. The result is a page of pictures to look at
    and a file of suggested corrections, which recipes of the face-mask task can apply."""
    from analysis.audit.sheet import audit_labels

    print("\n".join(audit_labels(runs, out, data).lines()))


OfNetwork = Annotated[
    Path | None,
    typer.Option(help="look at photos with this run's network [default: a packaged one that knows ImageNet]"),
]
Group = Annotated[str, typer.Option(help="whose photo it is, as for eda [default: as in the run]")]


@app.command(epilog=EXAMPLE + "leakage input --out out/leakage")
@exit_on_usage_error()
def leakage(
    data: Annotated[Path, typer.Argument(help="data set: a folder in any format (docs/data.md)")],
    run: OfNetwork = None,
    out: Annotated[Path, typer.Option(help="new folder for the result")] = Path("out/leakage"),
    group: Group = "",
) -> None:
    """Find the same people on both sides of a split.

    People (groups) of train are compared with each other and with the photos to predict: nearly identical
    photos, and people who look alike to a network. Scores are too high if a person is on both sides."""
    from analysis.audit.halves import write_leakage

    print("\n".join(write_leakage(data, out, run, group)))


@app.command(epilog=EXAMPLE + "shift input")
@exit_on_usage_error()
def shift(
    data: Annotated[Path, typer.Argument(help="data set: a folder in any format (docs/data.md)")],
    run: OfNetwork = None,
    out: Annotated[Path | None, typer.Option(help="new folder that keeps the result for a report")] = None,
    group: Group = "",
) -> None:
    """Say how the photos to predict differ from train.

    A classifier tries to tell them apart (adversarial validation); what differs is listed, and what to do."""
    from analysis.audit.halves import shift_between, write_shift

    lines = write_shift(data, out, run, group) if out else shift_between(data, run, group).lines()
    print("\n".join(lines))


@app.command(epilog=EXAMPLE + "report latest --with out/labels --with out/leakage")
@exit_on_usage_error()
def report(
    experiment: Annotated[
        str,
        typer.Argument(metavar="EXPERIMENT", help="an experiment, or a run folder"),
    ],
    other: Annotated[
        str | None, typer.Argument(metavar="OTHER", help="another experiment, to compare it with")
    ] = None,
    checked: Annotated[
        list[Path] | None,
        typer.Option(
            "--with",
            metavar="DIR",
            help="also show what labels, leakage, shift or ensemble wrote there; may be repeated",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="the page [default: report.html in the folder]")] = None,
) -> None:
    """Write a page on an experiment or a run.

    EXPERIMENT is NNI's id, a folder, a YAML's name, latest, or a run folder; it may still be running. With
    OTHER, the page compares the two [default: comparison.html here]. A page is one self-contained HTML
    file."""
    from analysis.report.checks import read_checks
    from analysis.trials.ranking import rank
    from analysis.trials.runs import any_table, is_run

    if other is not None:
        if checked:
            raise UsageError("--with is for the page of one experiment or run, not for comparing two")
        from analysis.report.comparison import sides_of, write_comparison

        both = [experiment, other]
        sides = sides_of(both, [rank(any_table(wanted)) for wanted in both])
        print(f"report: {write_comparison(out or Path('comparison.html'), *sides)}")
        return
    checks = read_checks(checked or [])
    if is_run(Path(experiment)):
        from analysis.report.run import write_run_report
        from analysis.submission import read_about

        run = Path(experiment)
        print(f"report: {write_run_report(out or run / 'report.html', run, read_about(run), checks)}")
        return
    from analysis.report.experiment import write_experiment_report
    from analysis.trials.table import find, trial_table

    found = find(experiment)
    ranking = rank(trial_table(found))
    if ranking.table.empty:
        raise UsageError(f"experiment {found.id} has no trial yet; wait until its first one has started")
    page = out or found.folder / "report.html"
    print(f"report: {write_experiment_report(found, page, ranking, ranking.first, checks=checks)}")


@app.command(epilog=EXAMPLE + "eda input --out out/eda --augment light --augment baseline")
@exit_on_usage_error()
def eda(
    data: Annotated[Path, typer.Argument(help="data set: a folder in any format (docs/data.md)")],
    out: Annotated[Path, typer.Option(help="folder for eda.html")] = Path("out/eda"),
    augment: Annotated[
        list[str] | None,
        typer.Option(help="augmentation policy to show: a name, or its steps as JSON; may be repeated"),
    ] = None,
    group: Annotated[
        str,
        typer.Option(help="whose photo it is: a column of photos.csv, or a regular expression on the path"),
    ] = "",
) -> None:
    """Write a page on a data set.

    It shows groups, photos, classes, sizes, suspicious labels and errors."""
    from analysis.eda.page import write_eda

    print(f"page: {write_eda(data, out, augment or [], group=group)}")


@app.command(epilog=EXAMPLE + "lr-range data=input model=resnet18 image_size=128x96 --out out/lr_range")
@exit_on_usage_error()
def lr_range(
    values: Annotated[
        list[str] | None, typer.Argument(metavar="key=value ...", help="the recipe, as for python -m trial")
    ] = None,
    out: Annotated[Path, typer.Option(help="new folder for the result")] = Path("out/lr_range"),
    steps: Annotated[int, typer.Option(help="number of steps, each of accumulate= batches")] = 100,
    low: Annotated[float, typer.Option("--from", help="learning rate of the first step")] = 1e-7,
    high: Annotated[float, typer.Option("--to", help="learning rate of the last step")] = 1.0,
) -> None:
    """Run a learning-rate range test.

    The recipe is trained for some steps while the learning rate rises; the useful range lies between where
    the loss starts falling and where it diverges. Nothing is frozen or averaged here, whatever freeze= and
    ema= say."""
    from analysis.lr_range.measure import write_lr_range
    from trial.arguments import parse_arguments

    found = write_lr_range(parse_arguments(values or []), out, steps, low, high)
    print(f"{found}\nsteps: {out / 'lr_range.csv'}\npage: {out / 'lr_range.html'}")


def _submission(out: Path) -> str:
    return f"submission: {out / 'submission.csv'}\nreport: {out / 'report.html'}"


if __name__ == "__main__":
    app(prog_name="python -m analysis")
