"""The commands of python -m analysis that come before a search: what is in the data, which learning rates."""

from pathlib import Path
from typing import Annotated

import typer

from common.errors import exit_on_usage_error

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
COMMAND = "Example: python -m analysis "


@app.command(epilog=COMMAND + "eda input --out out/eda --augment light --augment seed")
@exit_on_usage_error()
def eda(
    data: Path,
    out: Annotated[Path, typer.Option(help="the folder for eda.html")] = Path("out/eda"),
    augment: Annotated[
        list[str] | None,
        typer.Option(help="a policy to show at work: a name, or its steps in JSON; again for more"),
    ] = None,
) -> None:
    """One page on a data set: people, photos, classes, sizes, suspicious labels, errors."""
    from analysis.eda.page import write_eda

    print(f"page: {write_eda(data, out, augment or [])}")


@app.command(epilog=COMMAND + "lr-range data=input model=resnet18 image_size=128x96 --out out/lr_range")
@exit_on_usage_error()
def lr_range(
    values: Annotated[
        list[str] | None, typer.Argument(metavar="key=value ...", help="the recipe, as for python -m trial")
    ] = None,
    out: Annotated[Path, typer.Option(help="a new folder for the result")] = Path("out/lr_range"),
    steps: Annotated[int, typer.Option(help="how many, each of accumulate= batches")] = 100,
    low: Annotated[float, typer.Option("--from", help="the first step's learning rate")] = 1e-7,
    high: Annotated[float, typer.Option("--to", help="the last step's")] = 1.0,
) -> None:
    """Learning-rate range test: the recipe trained for some steps while the rate rises; where the loss falls
    and where it bursts says which rates are worth searching. Nothing is frozen or averaged here, whatever
    freeze= and ema= say."""
    from analysis.lr_range.measure import write_lr_range
    from trial.arguments import parse_arguments

    found = write_lr_range(parse_arguments(values or []), out, steps, low, high)
    print(f"{found}\nsteps: {out / 'lr_range.csv'}\npage: {out / 'lr_range.html'}")
