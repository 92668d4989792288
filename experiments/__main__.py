"""python -m experiments {check,run,resume,list,clean,smoke,demo,dashboard}: check an experiment's YAML, run
it with progress, go on with it, free its disk space, try all at a tiny size, or look at a search."""

import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from common.errors import UsageError, commands_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from experiments.run import ExperimentResult

app = typer.Typer(
    add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None, no_args_is_help=True,
    help="Check an experiment, run it with progress, go on with it, or smoke-test all of them.",
)  # fmt: skip
command = commands_of(app, "python -m experiments")
LONGEST = 1e6  # hours

Yaml = Annotated[Path, typer.Argument(metavar="YAML", help="the experiment, such as experiments/loss.yaml")]
Data = Annotated[Path | None, typer.Option(help="folder of the photos; default: the YAML's (input)")]
Port = Annotated[int | None, typer.Option(help="port of NNI's page; default: 8080, or the next free one")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="key=value", help="fixes a field for all trials; may be repeated"),
]
Wanted = Annotated[
    str, typer.Argument(metavar="EXPERIMENT", help="NNI's id, a folder, a YAML's name, or latest")
]
Trials = Annotated[int | None, typer.Option(min=1, help="number of trials; default: the YAML's")]
Machines = Annotated[
    Path | None, typer.Option(metavar="YAML", help="other machines for the trials (machines.yaml.example)")
]
WithoutFailing = Annotated[
    bool, typer.Option("--without-failing", help="leaves out the machines that can't run the trials")
]


def _hours(given: float | None) -> float | None:
    if given is not None and not 0 < given < LONGEST:
        raise typer.BadParameter(f"{given:g} is not a number of hours above 0")
    return given


@command("check experiments/loss.yaml --data ~/photos --set epochs=5")
def check_command(
    yaml: Yaml,
    data: Data = None,
    port: Port = None,
    settings: Settings = None,
    machines: Machines = None,
    without_failing: WithoutFailing = False,
) -> None:
    """List every mistake of an experiment; start nothing.

    Its YAML, search space, data, weights, port and machines are checked.
    """
    from experiments.check import check

    plan = check(yaml, data, port, settings or (), machines=machines, without_failing=without_failing)
    print("\n".join([f"{yaml}: no mistake found", *plan.summary()]))


@command("run experiments/loss.yaml --set epochs=5 --hours 2")
def run_command(
    yaml: Yaml,
    data: Data = None,
    port: Port = None,
    settings: Settings = None,
    trials: Trials = None,
    hours: Annotated[
        float | None,
        typer.Option(callback=_hours, help="ends after H hours, all included; plans as many trials as fit"),
    ] = None,
    with_retrain: Annotated[
        bool,
        typer.Option(
            "--with-retrain",
            help="then train the best recipe on all photos, within the hours; result: final/ in its folder",
        ),
    ] = False,
    keep: Annotated[
        int | None,
        typer.Option(min=1, help="only the K best finished trials keep their networks; default: all"),
    ] = None,
    machines: Machines = None,
    without_failing: WithoutFailing = False,
) -> None:
    """Check an experiment, run it and show its progress.

    NNI's server is stopped at the end or on Ctrl-C. With both --trials and --hours the search ends at
    whichever comes first.
    """
    from experiments.check import check
    from experiments.run import run_plan

    elsewhere = machines, without_failing
    if hours is None and not with_retrain:
        _report(lambda: run_plan(check(yaml, data, port, settings or (), trials, keep, *elsewhere), port))
        return
    if hours is not None and machines is not None:
        raise UsageError(
            "--machines: can't be combined with --hours, which measures trials on this machine; give --trials"
        )
    import psutil

    began = time.monotonic() - (time.time() - psutil.Process().create_time())  # imports take seconds, too
    from experiments.hours.within import run_within

    given = data, port, settings or (), trials, began, keep
    _report(lambda: run_within(yaml, hours, with_retrain, *given, *elsewhere))


def _report(run: "Callable[[], ExperimentResult]") -> None:
    """Print what can follow an experiment, or why it ended, with exit 1."""
    from common.text import path_text

    try:
        result = run()
    except RuntimeError as error:
        print(error, file=sys.stderr)
        raise SystemExit(1) from None
    print(f"experiment {result.id}: {path_text(result.folder)}")
    print(f"its trials:  python -m analysis trials {result.name}")
    print(f"NNI's page:  {result.view_command}")
    if result.final:
        print(f"the result:  {path_text(result.final)}")
        return
    print(
        f"what's next: python -m analysis export-best-and-retrain {result.name} "
        f"--data {shlex.quote(result.data)} --out out/final"
    )


@command("resume latest --trials 20")
def resume_command(
    experiment: Wanted,
    trials: Annotated[
        int | None,
        typer.Option(min=1, help="N more trials (trainings, if it pauses them); default: those missing"),
    ] = None,
    hours: Annotated[float | None, typer.Option(callback=_hours, help="H more hours, from now on")] = None,
    with_retrain: Annotated[
        bool,
        typer.Option(
            "--with-retrain",
            help="then, after any hours, train the best recipe on all photos; result: final/ in its folder",
        ),
    ] = False,
    port: Port = None,
    machines: Machines = None,
    without_failing: WithoutFailing = False,
) -> None:
    """Go on with an experiment that was stopped, killed or finished.

    Trials that were at work when it ended are run again; what was measured is not measured again, and the
    search knows it. With both --trials and --hours it ends at whichever comes first.
    A search on other machines goes on there, unless --machines lists others.
    """
    from experiments.saved.resume import resume_experiment

    def resumed() -> "ExperimentResult":
        result = resume_experiment(experiment, port, trials, hours, machines, without_failing, with_retrain)
        if not with_retrain:
            return result
        from analysis.trials.table import find
        from experiments.hours.within import retrained

        return retrained(result, find(str(result.folder)))

    _report(resumed)


@command("list")
def list_command() -> None:
    """List the experiments, the newest first.

    Those in out/experiments, and those that run elsewhere.
    """
    from experiments.saved.overview import lines, overview

    print("\n".join(lines(overview())))


@command("clean latest --keep 10 --yes")
def clean_command(
    experiment: Wanted = "latest",
    keep: Annotated[int, typer.Option(min=1, help="finished trials that keep their networks")] = 10,
    yes: Annotated[bool, typer.Option("--yes", help="remove them; without it they are only counted")] = False,
) -> None:
    """Free disk space: remove networks of all but the best trials.

    Table, report, export and retraining need none of what is removed; predict and ensemble need a network.
    Paused trials, and those that resume runs again, keep theirs."""
    from experiments.clean import clean

    found = clean(experiment, keep)
    line = found.line(yes)  # before they are gone
    if yes:
        found.remove()
    print(line if yes or not found.files else f"{line}\nnothing was removed; to remove them: add --yes")


@command("smoke experiments/loss.yaml")
def smoke_command(
    yamls: Annotated[
        list[Path] | None, typer.Argument(metavar="[YAML ...]", help="experiments; default: all shipped ones")
    ] = None,
) -> None:
    """Try experiments at a tiny size on drawn people.

    Each pair of tuner and assessor also runs through NNI.
    """
    from experiments.smoke import smoke

    if not smoke(yamls or []):
        raise SystemExit(1)


@command("demo --data ~/photos")
def demo_command(
    data: Annotated[Path | None, typer.Option(help="folder of photos; default: people are drawn")] = None,
    settings: Settings = None,
) -> None:
    """Do the whole job; its result is in out/demo/.

    A search, the best recipe, retraining on all photos, submission and report.
    """
    from experiments.demo import demo

    try:
        demo(data, settings=settings or ())
    except RuntimeError as error:
        print(error, file=sys.stderr)
        raise SystemExit(1) from None


@command("dashboard latest")
def dashboard_command(
    experiment: Wanted = "latest",
    port: Annotated[int | None, typer.Option(help="default: 8180, or the next free one")] = None,
) -> None:
    """Show the study of a search in Optuna's dashboard.

    Also while the search runs.
    """
    from analysis.trials.table import find
    from experiments.dashboard import dashboard

    dashboard(find(experiment).folder, port).serve_forever()


if __name__ == "__main__":
    app(prog_name="python -m experiments")
