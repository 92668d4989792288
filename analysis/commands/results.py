"""What a search found: its trials, which of them is best, and what decided."""

from pathlib import Path
from typing import Annotated

import typer

from analysis.commands.options import AnyExperiment, ConfirmHours, command
from common.errors import UsageError


@command("trials latest --csv trials.csv")
def trials(
    experiment: AnyExperiment,
    csv: Annotated[Path | None, typer.Option(help="also write the table to this file")] = None,
) -> None:
    """List an experiment's trials, best first.

    EXPERIMENT is NNI's id, a folder, a YAML's name, or latest. Paused, stopped, failed, mismatched and
    damaged trials are listed apart. A terminal shows the first 100 of each, a pipe or file all of them."""
    from analysis.trials.printing import print_trials, write_trials
    from analysis.trials.ranking import rank
    from analysis.trials.runs import any_table

    ranking = rank(any_table(experiment))
    print_trials(ranking)
    if csv:
        print(write_trials(ranking, csv))


@command("confirm latest --hours 2")
def confirm(
    experiment: AnyExperiment,
    places: Annotated[
        list[str] | None, typer.Argument(metavar="key=value ...", help="where it runs, such as device=cuda:1")
    ] = None,
    hours: ConfirmHours = None,
    runs: Annotated[int | None, typer.Option(min=1, help="most networks to train, over all calls")] = None,
    leaders: Annotated[
        int | None, typer.Option(min=2, help="number of leaders to compare at most [default: 5]")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="folder of the data set [default: where the trials read it]")
    ] = None,
) -> None:
    """Find the best of leaders that look equal.

    Leaders that are not significantly different on the search's validation photos are trained one after
    another, on other folds and then with other seeds; those that fall behind are dropped. It ends when one
    is left, or when the budget (--hours, --runs) is too small for another round. Given again, the command
    continues. The exports and the
    report take the result from the folder confirm/ of EXPERIMENT."""
    from analysis.confirm import Budget
    from analysis.confirm import confirm as confirmed
    from analysis.trials.printing import trust_words
    from analysis.trials.ranking import rank
    from analysis.trials.runs import any_table
    from trial.commands.arguments import parse_arguments

    if hours is None and runs is None:
        raise UsageError("give a budget: --hours 2 of training, or --runs 10 networks")
    confirmed(rank(any_table(experiment)), Budget(runs, hours), leaders, data, parse_arguments(places or []))
    print("\n".join(trust_words(rank(any_table(experiment)))))


@command("compare out/runs/a out/runs/b")
def compare(
    one: Annotated[Path, typer.Argument(help="a run folder")],
    other: Annotated[Path, typer.Argument(help="another run folder")],
) -> None:
    """Say whether one run is better than another.

    The difference of their scores has a 95 % interval, paired over the people (groups) that both were
    validated on."""
    from analysis.trust.compare import compare as compared

    print("\n".join(compared(one, other).lines()))


@command("importance full")
def importance(
    experiment: AnyExperiment,
) -> None:
    """Say which searched parameters decide the score.

    Importance by PED-ANOVA, and what one value gives instead of another with the rest equal, both with 95 %
    intervals, from the finished trials of EXPERIMENT."""
    from analysis.trials.printing import print_attribution
    from analysis.trials.ranking import rank
    from analysis.trials.runs import any_table

    print_attribution(rank(any_table(experiment)))
