"""python -m experiments {check,run,smoke,demo}: an experiment's YAML checked, run with progress, or all of
them tried at a tiny size."""

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
Data = Annotated[Path | None, typer.Option(help="the photos, in place of the YAML's (input)")]
Port = Annotated[int | None, typer.Option(help="of NNI's page; left out: 8080, or the next free one")]
Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="key=value", help="fixed for all trials; may be repeated")
]
Trials = Annotated[int | None, typer.Option(min=1, help="how many trials, in place of the YAML's number")]


@app.command("check", epilog=EXAMPLE + "check experiments/loss.yaml --data ~/photos --set epochs=5")
@exit_on_usage_error()
def check_command(yaml: Yaml, data: Data = None, port: Port = None, settings: Settings = None) -> None:
    """Name every mistake in YAML, space, data, weights and port at once; start nothing."""
    from experiments.check import check

    plan = check(yaml, data, port, settings or ())
    print("\n".join([f"{yaml}: no mistake found", *plan.summary()]))


@app.command("run", epilog=EXAMPLE + "run experiments/loss.yaml --set epochs=5")
@exit_on_usage_error()
def run_command(
    yaml: Yaml, data: Data = None, port: Port = None, settings: Settings = None, trials: Trials = None
) -> None:
    """Check, start, show progress, and stop the server at the end or on Ctrl-C."""
    from experiments.run import run_experiment
    from experiments.server import short

    try:
        result = run_experiment(yaml, data, port, settings or (), trials)
    except RuntimeError as error:
        print(error, file=sys.stderr)
        raise SystemExit(1) from None
    photos = data or "input"
    print(f"experiment {result.id}: {short(result.folder)}")
    print(f"its trials:  python -m analysis trials {result.id}")
    print(f"NNI's page:  {result.view_command}")
    print(
        f"what's next: python -m analysis export-best-and-retrain {result.id} --data {photos} --out out/final"
    )


@app.command("smoke", epilog=EXAMPLE + "smoke experiments/loss.yaml")
@exit_on_usage_error()
def smoke_command(
    yamls: Annotated[list[Path] | None, typer.Argument(metavar="[YAML ...]", help="all shipped ones")] = None,
) -> None:
    """Two tiny trials of every shipped YAML through NNI, on drawn people, in a temporary copy."""
    from experiments.smoke import smoke

    if not smoke(yamls or []):
        raise SystemExit(1)


@app.command("demo", epilog=EXAMPLE + "demo --data ~/photos")
@exit_on_usage_error()
def demo_command(
    data: Annotated[Path | None, typer.Option(help="photos; left out: people are drawn")] = None,
    settings: Settings = None,
) -> None:
    """The whole job into out/demo/: search, best recipe, retraining on all people, submission, report."""
    from experiments.demo import demo

    try:
        demo(data, settings=settings or ())
    except RuntimeError as error:
        print(error, file=sys.stderr)
        raise SystemExit(1) from None


if __name__ == "__main__":
    app(prog_name="python -m experiments")
