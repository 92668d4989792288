"""python -m experiments {check,run,smoke,demo,dashboard}: check an experiment's YAML, run it with progress,
try all of them at a tiny size, or look at a search."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from common.errors import exit_on_usage_error

app = typer.Typer(
    add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None, no_args_is_help=True,
    help="Check an experiment, run it with progress, or smoke-test all of them.",
)  # fmt: skip
EXAMPLE = "Example: python -m experiments "

Yaml = Annotated[Path, typer.Argument(metavar="YAML", help="the experiment, such as experiments/loss.yaml")]
Data = Annotated[Path | None, typer.Option(help="folder of the photos; default: the YAML's (input)")]
Port = Annotated[int | None, typer.Option(help="port of NNI's page; default: 8080, or the next free one")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="key=value", help="fixes a field for all trials; may be repeated"),
]
Trials = Annotated[int | None, typer.Option(min=1, help="number of trials; default: the YAML's")]


@app.command("check", epilog=EXAMPLE + "check experiments/loss.yaml --data ~/photos --set epochs=5")
@exit_on_usage_error()
def check_command(yaml: Yaml, data: Data = None, port: Port = None, settings: Settings = None) -> None:
    """List every mistake of an experiment; start nothing.

    Its YAML, search space, data, weights and port are checked.
    """
    from experiments.check import check

    plan = check(yaml, data, port, settings or ())
    print("\n".join([f"{yaml}: no mistake found", *plan.summary()]))


@app.command("run", epilog=EXAMPLE + "run experiments/loss.yaml --set epochs=5")
@exit_on_usage_error()
def run_command(
    yaml: Yaml, data: Data = None, port: Port = None, settings: Settings = None, trials: Trials = None
) -> None:
    """Check an experiment, run it and show its progress.

    NNI's server is stopped at the end or on Ctrl-C.
    """
    from common.text import path_text
    from experiments.run import run_experiment

    try:
        result = run_experiment(yaml, data, port, settings or (), trials)
    except RuntimeError as error:
        print(error, file=sys.stderr)
        raise SystemExit(1) from None
    print(f"experiment {result.id}: {path_text(result.folder)}")
    print(f"its trials:  python -m analysis trials {result.name}")
    print(f"NNI's page:  {result.view_command}")
    print(
        f"what's next: python -m analysis export-best-and-retrain {result.name} "
        f"--data {shlex.quote(result.data)} --out out/final"
    )


@app.command("smoke", epilog=EXAMPLE + "smoke experiments/loss.yaml")
@exit_on_usage_error()
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


@app.command("demo", epilog=EXAMPLE + "demo --data ~/photos")
@exit_on_usage_error()
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


@app.command("dashboard", epilog=EXAMPLE + "dashboard latest")
@exit_on_usage_error()
def dashboard_command(
    experiment: Annotated[
        str, typer.Argument(help="NNI's id, a folder, a YAML's name, or latest")
    ] = "latest",
    port: Annotated[int | None, typer.Option(help="default: 8180, or the next free one")] = None,
) -> None:
    """Show the study of a search in Optuna's dashboard, also while it runs."""
    from analysis.trials.table import find
    from experiments.dashboard import dashboard

    dashboard(find(experiment).folder, port).serve_forever()


if __name__ == "__main__":
    app(prog_name="python -m experiments")
