"""python -m dataset {synthetic,check,cache}."""

from pathlib import Path
from typing import Annotated

import typer

from common.errors import exit_on_usage_error

app = typer.Typer(
    help="People and their photos: draw a set, check one, or see to its decoded photos.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.command(epilog="Example: python -m dataset synthetic --people 60 --out input")
@exit_on_usage_error()
def synthetic(
    out: Annotated[Path, typer.Option(help="New or empty folder for the set.")],
    people: Annotated[int, typer.Option(help="People to train on, seven photos each.")] = 60,
    eval_people: Annotated[
        int | None, typer.Option(help="People of the eval half; default: half of --people.")
    ] = None,
    folds: Annotated[int, typer.Option(help="At least so many people of every gender and age band.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="The same seed draws the same people.")] = 0,
    height: Annotated[int, typer.Option(help="Pixels.")] = 256,
    width: Annotated[int, typer.Option(help="Pixels.")] = 192,
) -> None:
    """Draw people with known labels in the competition's layout, with the eval half's answers aside."""
    from dataset.drawing.synthetic import draw

    draw(out, people, eval_people, folds, seed, height, width, progress=True)
    print(f"drawn: {out} (train/, eval/, answers.csv)")


@app.command(epilog="Example: python -m dataset check input --corrections competition")
@exit_on_usage_error()
def check(
    data: Annotated[Path, typer.Argument(help="Folder with train/ and eval/.")],
    corrections: Annotated[
        str | None, typer.Option(help='Known label errors: "competition" or a CSV file.')
    ] = None,
    with_eval: Annotated[bool, typer.Option("--eval/--no-eval", help="Check the eval half too.")] = True,
    folds: Annotated[int, typer.Option(help="Folds that the people will be split into.")] = 5,
    seed: Annotated[int, typer.Option(help="Seed of the split.")] = 0,
) -> None:
    """Name every error of a set at once (folders, names, CSVs, each photo decoded), or say what it holds."""
    from dataset import check as checking
    from dataset.fingerprint import fingerprint
    from dataset.split import absent_classes, split

    train, judged = checking.check(data, corrections, with_eval, progress=True)
    print("\n".join(checking.summary(train, judged)))
    for fold in range(folds):
        for side, table in zip(("train", "validation"), split(train, fold, folds, seed), strict=True):
            if absent := absent_classes(table):
                print(f"fold {fold} of {folds}, {side}: nobody of {', '.join(absent)}")
    print(f"no errors; fingerprint {fingerprint(data)}")


@app.command(
    epilog="Example: python -m dataset cache input --size 128x96, later python -m dataset cache --remove"
)
@exit_on_usage_error()
def cache(
    data: Annotated[
        Path | None, typer.Argument(help="A set whose photos to decode beforehand, at --size.")
    ] = None,
    size: Annotated[str | None, typer.Option(help="HEIGHTxWIDTH; with --remove: only arrays of it.")] = None,
    interpolation: Annotated[
        str | None, typer.Option(help="Has a part only where photos are enlarged; default: bicubic.")
    ] = None,
    crop: Annotated[
        str | None, typer.Option(help="center or face, with a trial's default numbers; default: none.")
    ] = None,
    limit: Annotated[
        float | None, typer.Option(help="GiB that all decoded photos may take; default: 20.")
    ] = None,
    remove: Annotated[
        bool, typer.Option("--remove", help="Remove decoded photos; all, or as chosen.")
    ] = False,
    older_than: Annotated[
        float | None, typer.Option(help="With --remove: only what was not used for so many days.")
    ] = None,
) -> None:
    """List the decoded photos that trials share (in out/cache) and the faces found in them, remove them, or
    decode a set beforehand."""
    from dataset.cache import command

    command.refuse_unheard(remove, size, older_than, interpolation, crop, limit)
    if remove:
        command.remove(data, size, older_than)
    elif data or size:
        command.decode(data, size, interpolation or "bicubic", crop or "none", limit)
    else:
        command.show()


if __name__ == "__main__":
    app()
