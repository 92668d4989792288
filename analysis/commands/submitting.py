"""From recipes to submissions, and their scores."""

import json
import shlex
from pathlib import Path
from typing import Annotated, Literal

import typer

from analysis.commands.options import (
    Average,
    Combine,
    ConfirmHours,
    Data,
    Decide,
    Gpus,
    LearningCurve,
    Model,
    Out,
    Temperature,
    Top,
    Tta,
    Values,
    Wanted,
    command,
    submission_words,
)
from analysis.predict.vote import AUTO, WAYS
from common.errors import UsageError


@command("export-best demo --top 3 --out recipes/mine")
def export_best(
    experiment: Wanted, out: Out, top: Top = 1, model: Model = None, confirm_hours: ConfirmHours = None
) -> None:
    """Write the best recipes as JSON files.

    Each holds the recipe, its scores on validation photos and its origin."""
    from analysis import pipeline
    from analysis.trials.table import find

    pipeline.export_best(find(experiment), out, top, model, confirm_hours)


@command("retrain recipes/baseline_resnet34.json epochs=10 --data input --out out/baseline")
def retrain(
    recipe: Annotated[Path, typer.Argument(help="a recipe's JSON, or a run's config.json")],
    values: Values = None,
    data: Data = Path("input"),
    out: Annotated[Path | None, typer.Option(help="run folder [default: out/retrained/NAME]")] = None,
    average: Average = 1,
    tta: Tta = "none",
    decide: Decide = "auto",
    combine_photos: Combine = False,
    gpus: Gpus = 1,
    learning_curve: LearningCurve = False,
) -> None:
    """Retrain a recipe and write its submission.

    It is trained on all labelled photos; none is held out."""
    from analysis.pipeline import retrain_and_submit
    from analysis.predict.finishing import Finish
    from analysis.recipes import read_recipe
    from trial.commands.arguments import parse_arguments

    folder = out or Path("out/retrained") / recipe.stem
    changes, finish = parse_arguments(values or []), Finish(decide, combine_photos)
    retrain_and_submit(read_recipe(recipe), data, folder, changes, average, tta, finish, gpus, learning_curve)
    print(f"network: {folder}\n{submission_words(folder)}")


@command("export-best-and-retrain latest --data input --out out/final --top 3")
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
    gpus: Gpus = 1,
    learning_curve: LearningCurve = False,
) -> None:
    """Retrain the best recipes; write a submission.

    The last step after an experiment: the best recipes, trained on all labelled photos, down to
    submission.csv and report.html. Several networks predict by soft vote."""
    from analysis import pipeline
    from analysis.predict.finishing import Finish
    from analysis.trials.table import find
    from trial.commands.arguments import parse_arguments

    changes, finish = parse_arguments(values or []), Finish(decide, combine_photos)
    pipeline.export_best_and_retrain(
        find(experiment), data, out, top, model, average, changes, tta, finish=finish, hours=confirm_hours,
        gpus=gpus, learning_curve=learning_curve,
    )  # fmt: skip
    print(submission_words(out))


@command("predict out/runs/20260101-120000 --data input --out out/predicted --tta flip")
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
    from analysis.predict.finishing import Finish
    from analysis.prediction import predict_and_submit

    if data and photos:
        raise UsageError("--data and --photos both say which photos to predict; give one of them")
    predict_and_submit(run, data, out, tta, temperature, photos, Finish(decide, combine_photos))
    print(submission_words(out))


@command("ensemble out/runs/a out/runs/b --vote soft --data input --out out/ensemble")
def ensemble(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="run folders; one with best/ stands for the runs in it"),
    ],
    vote: Annotated[
        str,
        typer.Option(
            help=f"how predictions are combined: {', '.join(WAYS)}; auto: the simplest that is not "
            "significantly different from the best"
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
    print(submission_words(out))


@command("pseudo-labels out/first --data input --out out/pseudo_labels.csv")
def pseudo_labels(
    submission: Annotated[Path, typer.Argument(help="folder of a submission, with its predictions.csv")],
    data: Data = Path("input"),
    *,
    out: Annotated[Path, typer.Option(help="CSV for the result")],
    by: Annotated[
        Literal["group", "photo"],
        typer.Option(
            help="group: all photos of a group (a person) must agree on what it shares; it must be known "
            "whose each photo is. photo: each by itself"
        ),
    ] = "group",
    confidence: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="minimum probability of a predicted class [default: .8; "
                     "by photo .95]"),
    ] = None,
) -> None:  # fmt: skip
    """Choose predictions to be trained on, too.

    Confident predictions for the photos to predict become labels, with which a recipe is retrained: retrain
    RECIPE pseudo_labels=CSV. Competitions may forbid this: read the rules. A trial takes only labels by
    networks that have not seen its validation people (groups): predict with a run of the same fold."""
    from analysis.pseudo_labels import write_pseudo_labels

    print("\n".join(write_pseudo_labels(submission, data, out, by, confidence)))
    labels, place = shlex.quote(f"pseudo_labels={out}"), shlex.quote(str(data))
    print(f"table: {out}\nnext: python -m analysis retrain RECIPE {labels} --data {place}")


@command("soup out/runs/a out/runs/b --data input --out out/runs/soup")
def soup(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="run folders")],
    data: Data = Path("input"),
    *,
    out: Out,
) -> None:
    """Average the weights of several runs.

    A greedy soup: from the best run on, each further one is kept if the validation score rises with it. The
    runs must have the same network, begun from the same pretrained weights, and the same validation photos.
    The result is a run folder that can predict and join an ensemble; as it is no recipe, it is not ranked."""
    from analysis.soup import soup as greedy

    greedy(runs, data, out)
    print(f"network: {out}")


@command("reproduce out/final --data input --out out/again")
def reproduce(
    bundle: Annotated[Path, typer.Argument(help="a bundle.json, or the folder that holds it")],
    data: Data = Path("input"),
    *,
    out: Out,
    gpus: Annotated[
        int | None, typer.Option(min=1, help="GPUs that train each network together [default: as there]")
    ] = None,
) -> None:
    """Make a submission again from its bundle.

    It is the same, byte for byte, on the same type of machine with the same versions; else it says what
    differs, with exit code 1."""
    from analysis import pipeline

    same = pipeline.reproduce(bundle, data, out, gpus)
    print(f"submission: {out / 'submission.csv'}")
    raise typer.Exit(0 if same else 1)


@command("score out/demo/submission.csv out/demo/data/answers.csv --json")
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


@command("submissions out/final --score 0.61")
def submissions(
    submission: Annotated[
        Path | None, typer.Argument(help="a submission.csv that was handed in, or its folder")
    ] = None,
    score: Annotated[float | None, typer.Option(help="the leaderboard's score of it")] = None,
    log: Annotated[Path | None, typer.Option(help="the log [default: out/submissions.json]")] = None,
) -> None:
    """List what was handed in, and what to send next.

    For each: its promise, the leaderboard's score once you have entered it, and whether the gap is noise;
    then the mean gap. Other submissions beside the log are candidates for the next one."""
    from analysis import leaderboard

    path = log or leaderboard.LOG
    if submission is not None:
        leaderboard.add(submission, score, path)
    elif score is not None:
        raise UsageError("--score needs the submission that it is of")
    handed_in = leaderboard.read_log(path)
    print("\n".join(leaderboard.lines(handed_in, leaderboard.candidates(handed_in, path.parent))))
