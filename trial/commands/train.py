"""What `python -m trial` does: train one recipe, list, check, fetch weights."""

import gc
import json
import shlex
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer
from typer.core import TyperCommand

from common.errors import UsageError, all_at_once, errors_of, exit_on_usage_error, failure_words, gone_words
from common.files import only_writer
from common.image_size import size_text
from common.machine import cores
from common.text import fixed_text
from trial import advisor
from trial.commands.arguments import changed, parse_arguments, read_recipe_file
from trial.config import NO_DATA, NO_OUT, TrialConfig, parse, refuse_together, task_errors
from trial.metrics import scores_text, title_of
from trial.process.ranks import ALONE, Ranks, following, started_as

if TYPE_CHECKING:
    from trial.run import Report
    from trial.run_folder.checkpoint import Checkpoint
    from trial.run_folder.record import RunWriter

REPORTED = {  # with fold=all
    "lockstep": "the tuner gets their mean {score} after each epoch",
    "one_by_one": "one by one, the tuner gets the mean of their best {score} after each",
}


class _WithFields(TyperCommand):
    """A command whose --help shows the fields of a recipe."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        from trial.commands.listing import field_rows

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
    recipe: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="a recipe file or a run's config.json, which key=value changes"),
    ] = None,
    show: Annotated[
        bool, typer.Option("--list", help="show what there is to choose from; with words: what matches one")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="with --list: {field: [names]}")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="print the parsed config, train nothing")
    ] = False,
    going_on: Annotated[
        Path | None,
        typer.Option(
            "--continue",
            metavar="RUN",
            help="go on with the stopped or killed run in this folder; epochs=N trains it longer "
            "(schedules constant and plateau only)",
        ),
    ] = None,
    keep_checkpoint: Annotated[
        bool,
        typer.Option(help="keep the checkpoint of a run that is done: --continue RUN epochs=N needs it"),
    ] = False,
) -> None:
    """Train one recipe and write its run folder. `python -m trial weights NAME ...` fetches weights.

    A stopped or killed run goes on from its last checkpoint, which is written after each epoch (rarer if that
    takes over 5 % of the time) and removed when the run is done.

    In an NNI experiment trials are started by a server that has imported everything before; with
    FACE_MASK_WARM=0 each starts by itself.
    """
    ranks = started_as()
    if recipe and (going_on or advisor.in_experiment()):
        raise UsageError(
            "--recipe: is for a run of its own; with --continue or in an experiment give key=value"
        )
    if going_on and not going_on.is_dir():
        raise UsageError(f"{going_on}: no such folder")
    if show:
        from trial.commands.listing import show as show_choices

        show_choices(as_json, values or [])
    elif dry_run:
        config = _to_continue(going_on, values or [])[0] if going_on else parse(_given(values, recipe))
        _refuse_pseudo_labels(config)
        _refuse_for_data(config)
        print(json.dumps(config.to_json(), indent=2))
    elif ranks.rank:
        _follow(ranks)
    elif going_on:
        with only_writer(going_on):
            _train(lambda stopped: _goes_on(going_on, values or [], keep_checkpoint, ranks), ranks)
    elif advisor.in_experiment():
        folder = advisor.trial_folder()
        _train(
            lambda stopped: _begins_for_nni(values or [], folder, stopped, keep_checkpoint, ranks),
            ranks,
            True,
        )
    else:
        _train(lambda stopped: _begins(_given(values, recipe), keep_checkpoint, ranks), ranks)


def _given(arguments: list[str] | None, recipe: Path | None) -> dict[str, Any]:
    values = parse_arguments(arguments or [])
    return changed(read_recipe_file(recipe)["recipe"], values) if recipe else values


class _Begun(NamedTuple):
    config: TrialConfig
    writer: "RunWriter"
    checkpoint: "Checkpoint | None" = None  # to go on from


OnStop = Callable[[str], None]  # records why the run is stopped


def _train(begin: Callable[[OnStop], _Begun | None], ranks: Ranks, in_experiment: bool = False) -> None:
    from trial.process.signals import on_stop
    from trial.run_folder.status import INTERRUPTED

    writers: list[RunWriter] = []

    def stopped(reason: str) -> None:
        for writer in writers:
            writer.end(INTERRUPTED, reason, wait=1)

    on_stop(stopped)  # before anything starts a thread, as nni and numpy do
    begun = begin(stopped)
    if begun:
        writers.append(begun.writer)
    ranks.join()
    ranks.broadcast(begun and (begun.config, begun.checkpoint and begun.writer.folder))
    if begun:
        _run(begun.config, begun.writer, in_experiment, begun.checkpoint, ranks)
        print(f"run folder: {begun.writer.folder}")
    ranks.leave()


def _follow(ranks: Ranks) -> None:
    """Train what rank 0 has begun, in step with it; it records the run and reports it."""
    from trial.process.signals import on_stop
    from trial.run_folder.checkpoint import CHECKPOINT, load
    from trial.run_folder.record import Unrecorded

    on_stop(lambda reason: None)
    with following():
        ranks.join()
        if begun := ranks.broadcast():
            from trial.run import run

            config, going_on = begun
            checkpoint = load(going_on / CHECKPOINT) if going_on else None
            run(config, Unrecorded(), lambda report: None, checkpoint, ranks)
        ranks.leave()


def _begins(values: Mapping[str, Any], keep_checkpoint: bool, ranks: Ranks) -> _Begun:
    from trial.run_folder.record import RunWriter

    config = _config(values, ranks)
    folder = Path(config.out or f"out/runs/{time.strftime('%Y%m%d-%H%M%S')}")
    return _Begun(config, RunWriter(folder, config, keep_checkpoint=keep_checkpoint))


def _to_continue(folder: Path, arguments: list[str]) -> "tuple[TrialConfig, Checkpoint]":
    from trial.run_folder.resume import continued

    return continued(folder, parse_arguments(arguments))


def _goes_on(folder: Path, arguments: list[str], keep_checkpoint: bool, ranks: Ranks) -> _Begun:
    from trial.run_folder.record import RunWriter

    config, checkpoint = _to_continue(folder, arguments)
    refuse_together(config, ranks.world)
    writer = RunWriter(folder, config, checkpoint=checkpoint, keep_checkpoint=keep_checkpoint)
    return _Begun(config, writer, checkpoint)


def _begins_for_nni(
    arguments: list[str], folder: Path, stopped: OnStop, keep_checkpoint: bool = False, ranks: Ranks = ALONE
) -> _Begun | None:
    from trial.process.signals import end_with
    from trial.run_folder.record import RunWriter
    from trial.run_folder.resume import again, is_finished
    from trial.run_folder.status import note_failed

    try:
        if keep_checkpoint:
            raise UsageError("--keep-checkpoint: is for a run of its own, not a trial of NNI's; leave it out")
        end_with(advisor.manager(), stopped)
        values = advisor.ask()
        parent = values.pop(advisor.PARENT, None)
        config = _config(parse_arguments(arguments, values), ranks)
        if config.out and Path(config.out).resolve() != folder.resolve():
            raise UsageError(NO_OUT.format(out=config.out))
        if is_finished(folder, config):  # NNI was killed before it knew
            _report_the_rest(folder, config)
            return None
        checkpoint = again(folder, config, parent)
    except Exception as error:
        note_failed(folder, str(error) or type(error).__name__)
        raise
    if not config.threads:
        config = replace(config, threads=max(1, cores() // (advisor.concurrency() * ranks.world)))
    if config.pixels == "auto" and advisor.on_one_gpu() > 1:  # each would have a copy
        config = replace(config, pixels="host")
    writer = RunWriter(folder, config, again=True, checkpoint=checkpoint, parent=parent)
    return _Begun(config, writer, checkpoint)


def _report_the_rest(folder: Path, config: TrialConfig) -> None:
    """Report to NNI what it was not told of a whole run."""
    from trial.run import reports_of
    from trial.run_folder.record import RunFolder

    print("this trial is done already: its result is reported again", flush=True)
    run, already = RunFolder(folder), advisor.reported()
    if not advisor.has_reported_final():
        advisor.go_on_after(already)
        for report in reports_of(run.epochs(), config)[already:]:
            advisor.report(report.score, report.accuracy, report.validation_loss)
        advisor.report_final(run.status()["score"])


def _config(values: Mapping[str, Any], ranks: Ranks) -> TrialConfig:
    config, _ = all_at_once(lambda: parse(values), lambda: _check_data(values))
    refuse_together(config, ranks.world)
    _refuse_pseudo_labels(config)
    return config


def _check_data(values: Mapping[str, Any]) -> None:
    data = str(values.get("data", TrialConfig.data))
    if not Path(data).is_dir():
        raise UsageError(NO_DATA.format(data=data))


def _refuse_pseudo_labels(config: TrialConfig) -> None:
    """UsageError if the network that predicted the pseudo-labels knows groups that this run validates on."""
    if config.pseudo_labels:
        from trial.data.pseudo_labels import refuse_known

        refuse_known(Path(config.pseudo_labels), config.recipe())


def _refuse_for_data(config: TrialConfig) -> None:
    """UsageError if the photos, if they are here, can't be trained on by this recipe and the labels that it
    names, or the cache can't hold their features."""
    if not Path(config.data).is_dir():
        return
    from dataset.read import scan_train
    from dataset.split import folds_errors

    task, table, wrong = scan_train(Path(config.data), config.group)
    errors = []
    if not wrong:  # else the task is not known
        errors += task_errors(config, task) + folds_errors(config.folds, table["group"].nunique())
        if config.names_labels:
            from trial.recipe import labels

            errors += errors_of(labels, config, task, table, True)
    if config.needs_features:
        from trial.recipe import features_errors

        errors += features_errors(config, len(table))
    if errors:
        raise UsageError(dict.fromkeys(errors))


def _run(
    config: TrialConfig,
    writer: "RunWriter",
    in_experiment: bool,
    checkpoint: "Checkpoint | None" = None,
    ranks: Ranks = ALONE,
) -> None:
    already = advisor.reported() if in_experiment and checkpoint else 0
    numbers = count(1)

    def on_report(report: "Report") -> None:
        if not report.earlier:
            print(
                f"{report.done}  "
                f"{scores_text(config.metric, report.score, report.macro_f1, report.accuracy)}  "
                f"loss {fixed_text(report.train_loss, 4)} / {fixed_text(report.validation_loss, 4)}  "
                f"{report.seconds:.1f} s",
                flush=True,
            )
            writer.release_parent()
        if in_experiment and report.for_tuner and next(numbers) > already:
            advisor.report(report.score, report.accuracy, report.validation_loss)

    if already:
        advisor.go_on_after(already)
    print(f"{config.model} {size_text(config.image_size)}, {config.loss}, {config.augment}", flush=True)
    if config.fold == "all":
        reported = REPORTED[config.fold_order].format(score=title_of(config.metric))
        print(f"{config.folds} folds: {reported}; at the end: out-of-fold", flush=True)
    if checkpoint:
        print(f"going on after {checkpoint.where}", flush=True)
    from trial.process.signals import STOPPED

    try:
        from trial.run import run

        gc.freeze()  # imported objects stay: collecting them at the end alone would take a second
        with writer:
            best = run(config, writer, on_report, checkpoint, ranks)
            outcome = _outcome(config, writer)
    except UsageError:
        raise
    except KeyboardInterrupt:
        if writer.has_checkpoint and not in_experiment:
            folder = shlex.quote(str(writer.folder))
            print(f"to go on: python -m trial --continue {folder}", file=sys.stderr)
        raise
    except Exception as error:
        if gone := gone_words(error):
            print(f"interrupted: {gone} (run folder: {writer.folder})", file=sys.stderr)
            raise SystemExit(STOPPED) from None
        words = failure_words(error)
        if not words:
            traceback.print_exc()
        print(f"failed: {words or error} (run folder: {writer.folder})", file=sys.stderr)
        raise SystemExit(1) from None
    if in_experiment:
        advisor.report_final(best)
    print(outcome, flush=True)


def _outcome(config: TrialConfig, writer: "RunWriter") -> str:
    """A sentence with the run's score: of its best epoch, or out of fold over all groups."""
    from trial.run_folder.predictions import scores_of
    from trial.run_folder.record import RunFolder

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
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME ...", help="timm's names, or hf-hub:ORG/NAME")
    ] = None,
    experiment: Annotated[
        Path | None, typer.Option(help="fetch all that this experiment's YAML needs")
    ] = None,
) -> None:
    """Fetch pretrained weights through timm into weights/. Trials never download."""
    from trial.commands.fetch import fetch_all, wanted_by

    fetch_all([*(names or []), *(wanted_by(experiment) if experiment else [])])


def run_command(arguments: list[str]) -> None:
    """Run `python -m trial ARGUMENTS`; ends in SystemExit."""
    if arguments[:1] == ["weights"]:
        weights_app(arguments[1:], prog_name="python -m trial weights")
    else:
        app(arguments, prog_name="python -m trial")
