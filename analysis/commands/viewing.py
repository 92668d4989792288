"""Pages: reports, the data before a search, and what is wrong with them."""

from pathlib import Path
from typing import Annotated

import typer

from analysis.commands.options import command
from common.errors import UsageError
from common.machine import PROJECT

OfNetwork = Annotated[
    Path | None,
    typer.Option(help="look at photos with this run's network [default: a packaged one that knows ImageNet]"),
]
Group = Annotated[str, typer.Option(help="whose photo it is, as for eda [default: as in the run]")]


@command("report latest --with out/labels --with out/leakage")
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
    out: Annotated[
        Path | None, typer.Option(help="the page, a .html, or a folder for it [default: the run's folder]")
    ] = None,
) -> None:
    """Write a page on an experiment or a run.

    EXPERIMENT is NNI's id, a folder, a YAML's name, latest, or a run folder; it may still be running. With
    OTHER, the page compares the two [default: out/comparison.html]. A page is one self-contained file."""
    from analysis.report.checks import read_checks
    from analysis.trials.ranking import rank
    from analysis.trials.runs import any_table, is_run

    if other is not None:
        if checked:
            raise UsageError("--with is for the page of one experiment or run, not for comparing two")
        from analysis.report.comparison import sides_of, write_comparison

        both = [experiment, other]
        sides = sides_of(both, [rank(any_table(wanted)) for wanted in both])
        print(f"report: {write_comparison(_page(out, PROJECT / 'out' / 'comparison.html'), *sides)}")
        return
    checks = read_checks(checked or [])
    if is_run(Path(experiment)):
        from analysis.report.run import write_run_report
        from analysis.submission import read_about

        run = Path(experiment)
        print(f"report: {write_run_report(_page(out, run / 'report.html'), run, read_about(run), checks)}")
        return
    from analysis.report.experiment import write_experiment_report
    from analysis.trials.table import find, trial_table

    found = find(experiment)
    ranking = rank(trial_table(found))
    if ranking.table.empty:
        raise UsageError(f"experiment {found.id} has no trial yet; wait until its first one has started")
    page = _page(out, found.folder / "report.html")
    print(f"report: {write_experiment_report(found, page, ranking, ranking.first, checks=checks)}")


def _page(out: Path | None, default: Path) -> Path:
    """Where a page is written: `out` is the page, or a folder as with the other commands."""
    return default if out is None else out if out.suffix.lower() == ".html" else out / default.name


@command("labels out/runs/a out/runs/b --out out/labels")
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


@command("leakage input --out out/leakage")
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


@command("shift input")
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


@command("eda input --out out/eda --augment light --augment baseline")
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


@command("lr-range data=input model=resnet18 image_size=128x96 --out out/lr_range")
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
    from trial.commands.arguments import parse_arguments

    found = write_lr_range(parse_arguments(values or []), out, steps, low, high)
    print(f"{found}\nsteps: {out / 'lr_range.csv'}\npage: {out / 'lr_range.html'}")
