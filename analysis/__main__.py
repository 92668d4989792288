"""python -m analysis COMMAND: everything after the experiment (analysis/beforehand.py: and before)."""

import json
from pathlib import Path
from typing import Annotated

import typer

from analysis.beforehand import COMMAND
from analysis.beforehand import app as beforehand
from analysis.predict.tta import VIEWS
from analysis.predict.vote import VOTES
from common.errors import UsageError, exit_on_usage_error

app = typer.Typer(
    add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None, no_args_is_help=True,
    help="After the experiment: its trials, the best recipes, retraining, the submission and the report; "
    "and before it: the data, the learning rate.",
)  # fmt: skip

Wanted = Annotated[
    str, typer.Argument(metavar="EXPERIMENT", help="NNI's id, a folder, a YAML's name, or latest")
]
Data = Annotated[Path, typer.Option(help="the data set: a folder with train/ and eval/")]
Out = Annotated[Path, typer.Option(help="the folder for the result; nothing in it is overwritten")]
Top = Annotated[int, typer.Option(min=1, help="how many of the best")]
Model = Annotated[str | None, typer.Option(help="only trials of this network, such as resnet34")]
Average = Annotated[
    int, typer.Option(min=1, help="mean of the weights of that many last epochs (1: the last)")
]
Values = Annotated[
    list[str] | None, typer.Argument(metavar="key=value ...", help="what differs from the recipe")
]
Tta = Annotated[str, typer.Option(help=f"test-time augmentation: {', '.join(VIEWS)}")]
Temperature = Annotated[float, typer.Option(help="divides the logits; above 1 probabilities are less sure")]


@app.command(epilog=COMMAND + "trials latest --csv trials.csv")
@exit_on_usage_error()
def trials(
    experiment: Annotated[
        str,
        typer.Argument(metavar="EXPERIMENT", help="an experiment, or a folder of runs such as out/runs"),
    ],
    csv: Annotated[Path | None, typer.Option(help="write it here too")] = None,
) -> None:
    """The trials of an experiment (NNI's id, a folder, a YAML's name, or latest), best first; stopped,
    failed and mismatched ones apart. A terminal shows the first 100 of each, a pipe or file all of them."""
    from analysis.trials.printing import print_trials, write_trials
    from analysis.trials.runs import any_table

    table = any_table(experiment)
    print_trials(table)
    if csv:
        print(write_trials(table, csv))


@app.command(epilog=COMMAND + "export-best demo --top 3 --out recipes/mine")
@exit_on_usage_error()
def export_best(experiment: Wanted, out: Out, top: Top = 1, model: Model = None) -> None:
    """Write the best recipes as JSON files, with their scores."""
    from analysis import pipeline
    from analysis.trials.table import find

    pipeline.export_best(find(experiment), out, top, model)


@app.command(epilog=COMMAND + "retrain recipes/baseline_resnet34.json epochs=10 --data input --out out/seed")
@exit_on_usage_error()
def retrain(
    recipe: Annotated[Path, typer.Argument(help="a recipe's JSON, or a run's config.json")],
    values: Values = None,
    data: Data = Path("input"),
    out: Annotated[Path | None, typer.Option(help="the run folder (out/retrained/NAME)")] = None,
    average: Average = 1,
    tta: Tta = "none",
) -> None:
    """Train a recipe on all people and write its submission."""
    from analysis.pipeline import retrain_and_submit
    from analysis.recipes import read_recipe
    from trial.arguments import parse_arguments

    folder = out or Path("out/retrained") / recipe.stem
    retrain_and_submit(read_recipe(recipe), data, folder, parse_arguments(values or []), average, tta)
    print(f"network: {folder}\n{_submission(folder)}")


@app.command(epilog=COMMAND + "export-best-and-retrain latest --data input --out out/final --top 3")
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
) -> None:
    """The last step: the best recipes, retrained on all people, down to submission.csv and report.html."""
    from analysis import pipeline
    from analysis.trials.table import find
    from trial.arguments import parse_arguments

    pipeline.export_best_and_retrain(
        find(experiment), data, out, top, model, average, parse_arguments(values or []), tta
    )
    print(_submission(out))


@app.command(epilog=COMMAND + "predict out/runs/20260101-120000 --data input --out out/predicted --tta flip")
@exit_on_usage_error()
def predict(
    run: Annotated[Path, typer.Argument(help="a run folder")],
    data: Annotated[Path | None, typer.Option(help="a folder with eval/images/ [default: input]")] = None,
    photos: Annotated[
        Path | None, typer.Option(help="instead of --data: any folder, all images in it and below")
    ] = None,
    *,
    out: Out,
    tta: Tta = "none",
    temperature: Temperature = 1.0,
) -> None:
    """A submission from a run folder's network (or those of its folds) as it is."""
    from analysis.pipeline import predict_and_submit

    if data and photos:
        raise UsageError("--data and --photos both say which photos to answer; give one of them")
    predict_and_submit(run, data, out, tta, temperature, photos)
    print(_submission(out))


@app.command(epilog=COMMAND + "ensemble out/runs/a out/runs/b --vote soft --data input --out out/ensemble")
@exit_on_usage_error()
def ensemble(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="run folders; one with best/ stands for those in it"),
    ],
    vote: Annotated[str, typer.Option(help=f"how their answers become one: {', '.join(VOTES)}")] = "soft",
    data: Data = Path("input"),
    *,
    out: Out,
    tta: Tta = "none",
    temperature: Temperature = 1.0,
) -> None:
    """One submission from several run folders, by vote."""
    from analysis.predict import ensemble as voting

    voting.ensemble(runs, data, out, vote, tta, temperature)
    print(_submission(out))


@app.command(epilog=COMMAND + "score out/demo/submission.csv out/demo/data/answers.csv --json")
@exit_on_usage_error()
def score(
    submission: Path,
    answers: Annotated[Path, typer.Argument(help="a CSV with ImageID,ans")],
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Macro-F1 (over all 18 classes) and accuracy of a submission."""
    from analysis.submission import score_line, score_submission

    scores = score_submission(submission, answers)
    if as_json:
        print(json.dumps(scores))
        return
    print(f"{score_line(scores)}  ({scores['photos']} photos)")
    for name, recall in scores["recall"].items():
        print(f"  recall {name:24} {'no photos' if recall is None else f'{recall:.3f}'}")


@app.command(epilog=COMMAND + "report latest --out report.html")
@exit_on_usage_error()
def report(
    experiment: Annotated[
        str,
        typer.Argument(metavar="EXPERIMENT", help="an experiment, or a run folder"),
    ],
    out: Annotated[Path | None, typer.Option(help="the page (report.html in the folder)")] = None,
) -> None:
    """One self-contained page on an experiment (NNI's id, a folder, a YAML's name, or latest) or a single
    run; also while it runs."""
    from analysis.trials.runs import is_run

    if is_run(Path(experiment)):
        from analysis.report.run import write_run_report

        print(f"report: {write_run_report(out or Path(experiment) / 'report.html', Path(experiment))}")
        return
    from analysis.report.experiment import write_experiment_report
    from analysis.trials import ranking
    from analysis.trials.table import find, trial_table

    found = find(experiment)
    table = trial_table(found)
    ranked = ranking.rank(table)
    if table.empty:
        raise UsageError(f"experiment {found.id} has no trial yet")
    best = None if ranked.empty else ranked.iloc[0]
    print(f"report: {write_experiment_report(found, out or found.folder / 'report.html', table, best)}")


app.add_typer(beforehand)


def _submission(out: Path) -> str:
    return f"submission: {out / 'submission.csv'}\nreport: {out / 'report.html'}"


if __name__ == "__main__":
    app(prog_name="python -m analysis")
