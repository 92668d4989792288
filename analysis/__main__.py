"""python -m analysis COMMAND: everything after the experiment."""

import json
from pathlib import Path
from typing import Annotated

import typer

from dataset.errors import CallersMistake, exit_on_mistake

app = typer.Typer(
    add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None, no_args_is_help=True,
    help="After the experiment: its trials, the best recipes, retraining, the submission and the report.",
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
COMMAND = "Example: python -m analysis "


@app.command(epilog=COMMAND + "trials latest --csv trials.csv")
@exit_on_mistake()
def trials(
    experiment: Wanted, csv: Annotated[Path | None, typer.Option(help="write it here too")] = None
) -> None:
    """The trials of an experiment, best first; stopped, failed and mismatched ones apart. A terminal shows
    the first 100 of each, a pipe or file all of them."""
    from analysis.print_trials import print_trials, write_trials
    from analysis.trials import find, trial_table

    table = trial_table(find(experiment))
    print_trials(table)
    if csv:
        print(write_trials(table, csv))


@app.command(epilog=COMMAND + "export-best demo --top 3 --out recipes/mine")
@exit_on_mistake()
def export_best(experiment: Wanted, out: Out, top: Top = 1, model: Model = None) -> None:
    """Write the best recipes as JSON files, with their scores."""
    from analysis import finish
    from analysis.trials import find

    finish.export_best(find(experiment), out, top, model)


@app.command(epilog=COMMAND + "retrain recipes/seed_resnet34.json epochs=10 --data input --out out/seed")
@exit_on_mistake()
def retrain(
    recipe: Annotated[Path, typer.Argument(help="a recipe's JSON, or a run's config.json")],
    values: Values = None,
    data: Data = Path("input"),
    out: Annotated[Path | None, typer.Option(help="the run folder (out/retrained/NAME)")] = None,
    average: Average = 1,
) -> None:
    """Train a recipe on all people and write its submission."""
    from analysis.finish import retrain_and_submit
    from analysis.recipes import read_recipe
    from trial.arguments import parse_arguments

    folder = out or Path("out/retrained") / recipe.stem
    retrain_and_submit(read_recipe(recipe), data, folder, parse_arguments(values or []), average)
    print(f"network: {folder}\nsubmission: {folder / 'submission.csv'}")


@app.command(epilog=COMMAND + "export-best-and-retrain latest --data input --out out/final --top 3")
@exit_on_mistake()
def export_best_and_retrain(
    experiment: Wanted,
    values: Values = None,
    data: Data = Path("input"),
    out: Out = Path("out/final"),
    top: Top = 1,
    model: Model = None,
    average: Average = 1,
) -> None:
    """The last step: the best recipes, retrained on all people, down to submission.csv and report.html."""
    from analysis import finish
    from analysis.trials import find
    from trial.arguments import parse_arguments

    path = finish.export_best_and_retrain(
        find(experiment), data, out, top, model, average, parse_arguments(values or [])
    )
    print(f"submission: {path}\nreport: {out / 'report.html'}")


@app.command(epilog=COMMAND + "predict out/runs/20260101-120000 --data input --out out/predicted")
@exit_on_mistake()
def predict(
    run: Annotated[Path, typer.Argument(help="a run folder")], data: Data = Path("input"), *, out: Out
) -> None:
    """A submission from a run folder's network as it is."""
    from analysis import predict as prediction
    from analysis.finish import REPORT, about_run, submit
    from analysis.submission import refuse_overwriting
    from dataset.photos import read_eval

    refuse_overwriting(out, REPORT)
    photos = read_eval(data)
    print(f"submission: {submit(out, photos, prediction.predict(run, photos), about_run(run))}")


@app.command(epilog=COMMAND + "score out/demo/submission.csv out/demo/data/answers.csv --json")
@exit_on_mistake()
def score(
    submission: Path,
    answers: Annotated[Path, typer.Argument(help="a CSV with ImageID,ans")],
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Macro-F1 (over all 18 classes) and accuracy of a submission."""
    from analysis.submission import score_submission

    scores = score_submission(submission, answers)
    if as_json:
        print(json.dumps(scores))
        return
    print(
        f"macro-F1 {scores['macro_f1']:.4f}  accuracy {scores['accuracy']:.4f}  ({scores['photos']} photos)"
    )
    for name, recall in scores["recall"].items():
        print(f"  recall {name:24} {'no photos' if recall is None else f'{recall:.3f}'}")


@app.command(epilog=COMMAND + "report latest --out report.html")
@exit_on_mistake()
def report(
    experiment: Wanted,
    out: Annotated[Path | None, typer.Option(help="the page (EXPERIMENT's folder/report.html)")] = None,
) -> None:
    """One self-contained page on an experiment; also while it runs."""
    from analysis import select
    from analysis.report import write_experiment_report
    from analysis.trials import find, trial_table

    found = find(experiment)
    table = trial_table(found)
    ranked = select.rank(table)
    if table.empty:
        raise CallersMistake(f"experiment {found.id} has no trial yet")
    best = None if ranked.empty else ranked.iloc[0]
    print(f"report: {write_experiment_report(found, out or found.folder / 'report.html', table, best)}")


@app.command(epilog=COMMAND + "eda input --out out/eda")
@exit_on_mistake()
def eda(
    data: Path, out: Annotated[Path, typer.Option(help="the folder for eda.html")] = Path("out/eda")
) -> None:
    """One page on a data set: people, photos, classes, sizes, faults."""
    from analysis.eda import write_eda

    print(f"page: {write_eda(data, out)}")


if __name__ == "__main__":
    app(prog_name="python -m analysis")
