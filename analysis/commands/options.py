"""The command-line app, and the options that several commands have."""

from pathlib import Path
from typing import Annotated

import typer

from common.errors import commands_of
from trial.data.views import VIEWS

app = typer.Typer(
    add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None, no_args_is_help=True,
    help="After an experiment: its trials, the best recipes, retraining, the submission and the report. "
    "Before it: the data, the learning rate.",
)  # fmt: skip
command = commands_of(app, "python -m analysis")

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
    typer.Option(min=0, help="hours to compare leaders that look equal on more folds, over all calls"),
]
LearningCurve = Annotated[
    bool,
    typer.Option(
        "--learning-curve",
        help="promise what training on all people (groups) will hold, not what the trial held: the best "
        "recipe is also trained on four fifths of its trial's people, in four fifths of the trial's time",
    ),
]
Gpus = Annotated[int, typer.Option(min=1, help="GPUs that train each network together")]
Values = Annotated[list[str] | None, typer.Argument(metavar="key=value ...", help="changes to the recipe")]
Tta = Annotated[
    str,
    typer.Option(
        help=f"test-time augmentation: {', '.join(VIEWS)}; auto (not of ensemble): the best on validation "
        "answers, if the interval of the gain is above 0"
    ),
]
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
        help="predict what the photos of a group (a person) share from all of them together; the photos to "
        "predict must have groups",
    ),
]


def submission_words(out: Path) -> str:
    """Where a submission and its report are."""
    return f"submission: {out / 'submission.csv'}\nreport: {out / 'report.html'}"
