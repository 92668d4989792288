"""What `python -m trial` does: train one recipe, list, check, fetch weights."""

import gc
import json
import sys
import time
import traceback
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from common.errors import UsageError, all_at_once, exit_on_usage_error
from common.image_size import size_text
from common.machine import cores
from trial import advisor
from trial.arguments import parse_arguments
from trial.config import NO_DATA, TrialConfig, parse
from trial.metrics import scores_text, title_of

if TYPE_CHECKING:
    from trial.record import RunWriter
    from trial.run import Report

REPORTED = {  # with fold=all
    "lockstep": "the tuner gets their mean {score} after each epoch",
    "one_by_one": "one by one, the tuner gets the mean of their best {score} after each",
}


class _WithFields(TyperCommand):
    """A command whose --help shows the fields of a recipe."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        from trial.listing import field_rows

        super().format_options(ctx, formatter)
        with formatter.section("Keys and their defaults (--list: their choices)"):
            formatter.write_dl(list(field_rows()))


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
weights_app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command(
    cls=_WithFields,
    epilog="Example: python -m trial data=input model=resnet34 image_size=512x384 loss=focal loss.gamma=2",
)
@exit_on_usage_error()
def main(
    values: Annotated[
        list[str] | None, typer.Argument(metavar="key=value ...", help="the recipe; with --list: words")
    ] = None,
    show: Annotated[
        bool, typer.Option("--list", help="show what there is to choose from; with words: what matches one")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="with --list: {field: [names]}")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="print the parsed config, train nothing")
    ] = False,
) -> None:
    """Train one recipe and write its run folder. `python -m trial weights NAME ...` fetches weights.

    In an NNI experiment trials are started by a server that has imported everything before; with
    FACE_MASK_WARM=0 each starts by itself.
    """
    if show:
        from trial.listing import show as show_choices

        show_choices(as_json, values or [])
    elif dry_run:
        print(json.dumps(parse(parse_arguments(values or [])).to_json(), indent=2))
    elif advisor.in_experiment():
        _train(values or [], advisor.trial_folder())
    else:
        _train(values or [], None)


def _train(arguments: list[str], nni_folder: Path | None) -> None:
    from trial.record import RunWriter
    from trial.signals import end_with, on_stop

    writers: list[RunWriter] = []

    def stopped(reason: str) -> None:
        for writer in writers:
            writer.end("stopped_early", reason, wait=1)

    on_stop(stopped)  # before anything starts a thread, as nni and numpy do
    try:
        if nni_folder:
            end_with(advisor.manager(), stopped)
        values = parse_arguments(arguments, advisor.ask() if nni_folder else None)
        config, _ = all_at_once(lambda: parse(values), lambda: _check_data(values))
    except Exception as error:
        if nni_folder:
            RunWriter(nni_folder, again=True).end("failed", str(error) or type(error).__name__)
        raise
    if nni_folder and not config.threads:
        config = replace(config, threads=max(1, cores() // advisor.concurrency()))
    folder = nni_folder or Path(config.out or f"out/runs/{time.strftime('%Y%m%d-%H%M%S')}")
    writer = RunWriter(folder, config, again=nni_folder is not None)
    writers.append(writer)
    _run(config, writer, nni_folder is not None)
    print(f"run folder: {writer.folder}")


def _check_data(values: Mapping[str, Any]) -> None:
    data = str(values.get("data", TrialConfig.data))
    if not Path(data).is_dir():
        raise UsageError(NO_DATA.format(data=data))


def _run(config: TrialConfig, writer: "RunWriter", in_experiment: bool) -> None:
    def on_report(report: "Report") -> None:
        print(
            f"{report.done}  {scores_text(config.metric, report.score, report.macro_f1, report.accuracy)}  "
            f"loss {report.train_loss:.4f} / {report.validation_loss:.4f}  {report.seconds:.1f} s",
            flush=True,
        )
        if in_experiment and report.for_tuner:
            advisor.report(report.score, report.accuracy, report.validation_loss)

    print(f"{config.model} {size_text(config.image_size)}, {config.loss}, {config.augment}", flush=True)
    if config.fold == "all":
        reported = REPORTED[config.fold_order].format(score=title_of(config.metric))
        print(f"{config.folds} folds: {reported}; at the end: out-of-fold", flush=True)
    try:
        from trial.run import run

        gc.freeze()  # imported objects stay: collecting them at the end alone would take a second
        best = run(config, writer, on_report)
        outcome = _outcome(config, writer)
    except UsageError as error:
        writer.end("failed", str(error))
        raise
    except KeyboardInterrupt:
        writer.end("stopped_early", "interrupted")
        raise
    except Exception as error:
        writer.end("failed", f"{type(error).__name__}: {error}")
        traceback.print_exc()
        print(f"failed: {error} (run folder: {writer.folder})", file=sys.stderr)
        raise SystemExit(1) from None
    writer.end("done")
    if in_experiment:
        advisor.report_final(best)
    print(outcome, flush=True)


def _outcome(config: TrialConfig, writer: "RunWriter") -> str:
    """A sentence with the run's score: of its best epoch, or out of fold over all groups."""
    from trial.record import RunFolder, scores_of

    run = RunFolder(writer.folder)
    validation, status = run.validation(), run.status()
    scores = scores_of(validation)
    groups = f"{validation['group'].nunique():,} {run.task().groups}"
    if config.fold == "all":
        what = f"out of fold, over all {groups}, each predicted by the network that did not see them"
    else:
        what = f"best epoch {status['best_epoch']} of {status['epochs']}, on {groups} held out"
    return f"{what}: {scores_text(config.metric, status['score'], scores.macro_f1, scores.accuracy)}"


@weights_app.command(
    epilog="Example: python -m trial weights resnet34.tv_in1k   or   --experiment experiments/models.yaml"
)
@exit_on_usage_error()
def weights(
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME ...", help="timm's names")] = None,
    experiment: Annotated[
        Path | None, typer.Option(help="fetch all that this experiment's YAML needs")
    ] = None,
) -> None:
    """Fetch pretrained weights through timm into weights/. Trials never download."""
    from trial.fetch import fetch_all, wanted_by

    fetch_all([*(names or []), *(wanted_by(experiment) if experiment else [])])


def run_command(arguments: list[str]) -> None:
    """Run `python -m trial ARGUMENTS`; ends in SystemExit."""
    if arguments[:1] == ["weights"]:
        weights_app(arguments[1:], prog_name="python -m trial weights")
    else:
        app(arguments, prog_name="python -m trial")
