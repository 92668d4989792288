"""python -m dataset {synthetic,digits,check,cache}: draw or check a data set, manage decoded photos."""

from pathlib import Path
from typing import Annotated

import typer

from common.errors import commands_of

Group = Annotated[
    str,
    typer.Option(help="Whose photo each is: a column of photos.csv, or a regular expression on the path."),
]
app = typer.Typer(
    help="Write a data set to try things on, check a data set, or manage the cache of decoded photos.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
command = commands_of(app, "python -m dataset")


@command("synthetic --people 60 --out input")
def synthetic(
    out: Annotated[Path, typer.Option(help="New or empty folder for the data set.")],
    people: Annotated[int, typer.Option(help="Number of people to train on, with seven photos each.")] = 60,
    eval_people: Annotated[
        int | None, typer.Option(help="Number of people in the eval half. Default: half of --people.")
    ] = None,
    folds: Annotated[int, typer.Option(help="Minimum number of people of every gender and age band.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Random seed.")] = 0,
    height: Annotated[int, typer.Option(help="Height of the photos in pixels.")] = 256,
    width: Annotated[int, typer.Option(help="Width of the photos in pixels.")] = 192,
) -> None:
    """Draw a data set of synthetic people with known labels.

    It has the competition's layout; the labels of its eval half are written to answers.csv.
    """
    from dataset.face_masks.drawing.synthetic import draw

    draw(out, people, eval_people, folds, seed, height, width, progress=True)
    print(f"drawn: {out} (train/, eval/, answers.csv)")


@command("digits --out digits")
def digits(out: Annotated[Path, typer.Option(help="New or empty folder for the data set.")]) -> None:
    """Write scikit-learn's handwritten digits in folders per class."""
    from dataset.digits import write_digits

    print(f"written: {write_digits(out)} (train/, eval/)")


@command("check input --corrections competition")
def check(
    data: Annotated[Path, typer.Argument(help="Folder of photos.")],
    group: Group = "",
    corrections: Annotated[
        str | None, typer.Option(help='Known label errors to correct: "competition" or a CSV file.')
    ] = None,
    with_eval: Annotated[
        bool, typer.Option("--eval/--no-eval", help="Check the photos to predict, or not.")
    ] = True,
    folds: Annotated[int, typer.Option(help="Number of folds that groups are split into.")] = 5,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Random seed of the split.")] = 0,
) -> None:
    """List all errors of a data set at once, or what was understood.

    Folders, file names and CSVs are checked, and every photo is decoded. Without groups, near-duplicate
    photos are listed.
    """
    from dataset import check as checking
    from dataset.fingerprint import fingerprint

    checked = checking.check(data, corrections, with_eval, progress=True, group=group)
    print("\n".join(checking.summary(data, checked, folds, seed)))
    if checked.task.group == "photo":
        print("\n".join(checking.look_alikes(checked.train)))
    print(f"no errors; fingerprint {fingerprint(data)}")


@command("cache input --size 128x96, later python -m dataset cache --remove")
def cache(
    data: Annotated[
        Path | None, typer.Argument(help="Data set whose photos are decoded now, at --size.")
    ] = None,
    group: Group = "",
    size: Annotated[
        str | None, typer.Option(help="HEIGHTxWIDTH. With --remove: only arrays of this size.")
    ] = None,
    interpolation: Annotated[
        str | None,
        typer.Option(help="Filter for enlarging (shrinking always averages areas). Default: bicubic."),
    ] = None,
    crop: Annotated[
        str | None,
        typer.Option(help="center or face, with a trial's default parameters. Default: none."),
    ] = None,
    limit: Annotated[
        float | None, typer.Option(help="Maximum size of the cache in GiB. Default: 20.")
    ] = None,
    remove: Annotated[
        bool,
        typer.Option("--remove", help="Remove all arrays, or those of DATA, --size and --older-than."),
    ] = False,
    older_than: Annotated[
        float | None, typer.Option(help="With --remove: only arrays not used for this many days.")
    ] = None,
) -> None:
    """List, build or remove decoded photos that trials share.

    Without options, list the arrays of decoded photos, face boxes and features in out/cache. With DATA and
    --size, decode a data set before the first trial needs it. With --remove, delete arrays.
    """
    from dataset import cache_command

    cache_command.refuse_unused(remove, size, older_than, interpolation, crop, limit)
    if remove:
        cache_command.remove(data, size, older_than)
    elif data or size:
        cache_command.decode(data, size, interpolation or "bicubic", crop or "none", limit, group)
    else:
        cache_command.show()


if __name__ == "__main__":
    app()
