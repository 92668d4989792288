"""Does a network that was trained on all people keep what its recipe's trial promised? And is the mean of a
run's epochs better than its best epoch?

    python -m benchmarks.trust.retraining DATA ANSWERS.csv OUT [--seeds 5] [--people 300] [--others 300]
    python -m benchmarks.trust.retraining DATA ANSWERS.csv OUT --heads lda --seeds 80

For each seed, some people of DATA's train/ are split into five folds, and three networks trained: one on four
folds, as a trial; one on four fifths of these people, for the learning curve (analysis/learning_curve.py);
and one on all people, stopped after the epoch that retraining would stop after (analysis/retrain.py). What is
seen is the score of the latter on other people of train/, whom none was trained on, and on the photos to
predict, whose true classes are in ANSWERS. OUT holds what the networks answered, a file for each seed; a seed
that is there is not trained again.

The promise: the trial's score on its fold, corrected for the choice of an epoch; `grown`: with what the
learning curve adds. That is few people, so the promise is also dealt: the trial's network on as many of the
others as a fold has, DEALS times, against what the network of all people holds on the rest of them.

With `--heads` the networks are heads on what the packaged network makes of the photos, trained in a second,
for many seeds: how often does the interval hold what is seen? `lda`: a linear discriminant; `mlp`: a hidden
layer, trained EPOCHS epochs.
"""

import argparse
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from analysis.retrain import mean
from analysis.submission import read_answers
from analysis.trust.answers import Counts, count
from analysis.trust.bootstrap import Interval, intervals, observed
from analysis.trust.curves import steady
from analysis.trust.growth import gain, grown
from analysis.trust.selection import select
from benchmarks.trust.populations import CLASSES
from common.errors import exit_on_usage_error
from common.files import write_atomic
from dataset.read import read_eval
from dataset.split import fold_of, fraction_of, split
from trial import recipe
from trial.config import TrialConfig, parse
from trial.data import batches
from trial.features import features_of
from trial.fit import fit, infer
from trial.run_folder.record import RunWriter

METRIC, FOLDS, DEALS = "macro_f1", 5, 10
SMALLER, POWER = (FOLDS - 1) / FOLDS, 1.0  # the trial is to the smaller training what all people are to it
RECIPE = {
    "model": "tf_efficientnet_lite0", "weights": "package", "image_size": "64x48", "epochs": 6,
    "batch_size": 16, "optimizer": "adamw", "learning_rate": 0.002, "schedule": "onecycle",
    "augment": "light", "ema": 0.98, "threads": 1, "cache_limit": 0,
}  # fmt: skip
HEADS = {
    "model": "tf_efficientnet_lite0", "weights": "package", "image_size": "96x72", "epochs": 1,
    "learning_rate": 0.0, "init": "lda", "features": "cached", "threads": 1, "cache_limit": 0,
}  # fmt: skip
COMPONENTS, SHRINKAGE, EPOCHS = 200, 0.3, 12
Answered = Mapping[str, np.ndarray]


def answered(
    seed: int, data: Path, answers: Path, out: Path, people: int, others: int, recipe_values: Mapping = RECIPE
) -> dict[str, np.ndarray]:
    """What the networks of a seed answer. Of the fold: `fold_label`, `fold_group`, `fold` (epochs, photos).
    Of the others: label, group, and the answers of the trial's `best` epoch, of its moving average (`ema`)
    and of the mean of its best epochs (`soup`), of `all` people's network and of the best epoch of the
    `smaller` training, which answers the fold in `smaller_fold` (epochs, photos). Of the photos to predict:
    `eval_label`, `eval_trial`, and `eval_all` (epochs, photos). `stop_after`: by the curve of the trial."""
    config = parse({**recipe_values, "data": str(data), "seed": seed, "folds": FOLDS})
    start, unknown = _start(config, answers, out / f"{seed}")
    used = fraction_of(start.table, people / start.table["group"].nunique(), seed)
    rest = start.table[~start.table["group"].isin(used["group"])]
    rest = fraction_of(rest, others / rest["group"].nunique(), seed)
    known, held_out = split(used, 0, FOLDS, seed)
    loaders = {
        name: batches.loader(batches.Photos(photos, start.preprocessing, pixels), 128)
        for name, photos, pixels in (
            ("fold", held_out, start.pixels),
            ("others", rest, start.pixels),
            ("eval", unknown, None),
        )
    }

    def predicted(network: nn.Module, name: str) -> np.ndarray:
        logits, _ = infer(network, start.preprocessing, start.compute, loaders[name])
        return logits.argmax(1).numpy().astype(np.uint8)

    def macro_f1(given: np.ndarray) -> float:
        labels = held_out["label"].to_numpy()
        return float(observed(count(labels, given[:, None], np.zeros(len(labels)), CLASSES), METRIC)[0])

    def with_weights(state: dict[str, Tensor]) -> nn.Module:
        network.load_state_dict(state)
        return network

    network = start.network
    training = recipe.training(config, start, network, known)
    raw, averages, given, given_ema = [], [], [], []
    for epoch in fit(training):
        raw.append(_copy(network))
        averages.append(_copy(epoch.network))
        given.append(predicted(network, "fold"))
        given_ema.append(predicted(epoch.network, "fold"))
    curve = np.array([macro_f1(one) for one in given])
    ema = averages[int(np.argmax([macro_f1(one) for one in given_ema]))]
    order = list(np.argsort(-curve, kind="stable"))
    taken, best = [order[0]], curve[order[0]]
    for one in order[1:]:  # as analysis/soup.py
        score = macro_f1(predicted(with_weights(mean([raw[each] for each in (*taken, one)])), "fold"))
        if score > best:
            taken, best = [*taken, one], score
    found = {
        "fold_label": held_out["label"].to_numpy(), "fold_group": held_out["group"].to_numpy(str),
        "fold": np.array(given), "label": rest["label"].to_numpy(), "group": rest["group"].to_numpy(str),
        "ema": predicted(with_weights(ema), "others"),
        "soup": predicted(with_weights(mean([raw[each] for each in taken])), "others"),
        "soup_of": np.array(len(taken)),
        "best": predicted(with_weights(raw[order[0]]), "others"),
        "eval_label": unknown["label"].to_numpy(),
        "eval_trial": predicted(with_weights(raw[order[0]]), "eval"),
    }  # fmt: skip
    smaller, of_smaller = [], []
    torch.manual_seed(seed)
    network, _ = recipe.build(config, start.task)
    for _ in fit(recipe.training(config, start, network, fraction_of(known, SMALLER, seed))):
        smaller.append(_copy(network))
        of_smaller.append(predicted(network, "fold"))
    found["smaller_fold"] = np.array(of_smaller)
    best_smaller = smaller[int(np.argmax([macro_f1(one) for one in of_smaller]))]
    found["smaller"] = predicted(with_weights(best_smaller), "others")
    chosen = steady(curve)
    assert chosen is not None
    torch.manual_seed(seed)
    network, _ = recipe.build(config, start.task)
    seen = []
    for epoch in fit(recipe.training(config, start, network, used)):
        seen.append(predicted(network, "eval"))
        if epoch.epoch == chosen[1]:
            found["all"] = predicted(network, "others")
    return found | {"eval_all": np.array(seen), "stop_after": np.array(chosen[1])}


def _start(config: TrialConfig, answers: Path, folder: Path) -> tuple[recipe.Start, pd.DataFrame]:
    """What training starts from, and the photos to predict with their labels."""
    start = recipe.start(config, RunWriter(folder, config, again=True))
    unknown = read_eval(Path(config.data))
    truth, _ = read_answers(answers, start.task)
    unknown["label"] = truth.set_index("ImageID")["ans"].loc[unknown["photo"]].to_numpy()
    return start, unknown


def head_answers(
    head: str, seed: int, features: np.ndarray, table: pd.DataFrame, unknown: tuple[np.ndarray, np.ndarray],
    people: int, others: int,
) -> dict[str, np.ndarray]:  # fmt: skip
    """As `answered`, by a `head` on `features` (photos, D) of the photos of `table`, which are in its order;
    `unknown`: features and labels of the photos to predict."""
    used = fraction_of(table, people / table["group"].nunique(), seed)
    rest = table[~table["group"].isin(used["group"])]
    rest = fraction_of(rest, others / rest["group"].nunique(), seed)
    known, held_out = split(used, 0, FOLDS, seed)

    def fitted(photos: pd.DataFrame) -> LinearDiscriminantAnalysis | MLPClassifier:
        one = (
            LinearDiscriminantAnalysis(solver="lsqr", shrinkage=SHRINKAGE)
            if head == "lda"
            else MLPClassifier((64,), batch_size=16, max_iter=EPOCHS, random_state=seed)
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # EPOCHS is the recipe
            return one.fit(features[photos.index], photos["label"])

    trial, smaller, everyone = map(fitted, (known, fraction_of(known, SMALLER, seed), used))
    of_fold, of_rest = features[held_out.index], features[rest.index]
    best = trial.predict(of_rest)
    return {
        "fold_label": held_out["label"].to_numpy(), "fold_group": held_out["group"].to_numpy(str),
        "fold": trial.predict(of_fold)[None], "smaller_fold": smaller.predict(of_fold)[None],
        "label": rest["label"].to_numpy(), "group": rest["group"].to_numpy(str),
        "best": best, "ema": best, "soup": best, "soup_of": np.array(1), "smaller": smaller.predict(of_rest),
        "all": everyone.predict(of_rest), "stop_after": np.array(1), "eval_label": unknown[1],
        "eval_trial": trial.predict(unknown[0]), "eval_all": everyone.predict(unknown[0])[None],
    }  # fmt: skip


def _copy(network: nn.Module) -> dict[str, Tensor]:
    return {key: tensor.detach().clone() for key, tensor in network.state_dict().items()}


def counts(known: Answered, of: str, names: Sequence[str]) -> Counts:
    """Of the people of `of` ('' for the others, 'fold_', 'eval_'), by what these networks answered."""
    labels = known[f"{of}label"]
    groups = known[f"{of}group"] if f"{of}group" in known else np.arange(len(labels))
    return count(labels, np.stack([known[name] for name in names], 1), groups, CLASSES)


def of_seed(known: Answered) -> dict[str, float]:
    """Scores and differences of a seed's networks."""
    stop = int(known["stop_after"])
    fold = count(known["fold_label"], known["fold"].T, known["fold_group"], CLASSES)
    curve = observed(fold, METRIC)
    best_epoch = int(curve.argmax())
    promise = select(fold.recipes([best_epoch]), METRIC, curve[None]).promise
    every = count(
        known["fold_label"],
        np.concatenate([known["fold"], known["smaller_fold"]]).T,
        known["fold_group"],
        CLASSES,
    )
    best_smaller = len(curve) + int(observed(every, METRIC)[len(curve) :].argmax())
    larger = _grown(promise, every.recipes([best_epoch, best_smaller]))
    best, ema, soup, everyone = observed(counts(known, "", ("best", "ema", "soup", "all")), METRIC)
    by_epoch = observed(
        count(known["eval_label"], known["eval_all"].T, np.arange(len(known["eval_label"])), CLASSES), METRIC
    )
    (of_trial,) = observed(counts(known, "eval_", ("eval_trial",)), METRIC)
    return {
        "promise": promise.value, "seen, others": everyone, "seen, eval": by_epoch[stop - 1],
        "promise - seen, others": promise.value - everyone,
        "grown - seen, others": larger.value - everyone,
        "promise - seen, eval": promise.value - by_epoch[stop - 1],
        "grown - seen, eval": larger.value - by_epoch[stop - 1],
        "covered, eval": float(promise.low <= by_epoch[stop - 1] <= promise.high),
        "covered, grown, eval": float(larger.low <= by_epoch[stop - 1] <= larger.high),
        "all - trial, others": everyone - best, "all - trial, eval": by_epoch[stop - 1] - of_trial,
        "stops after": stop, "last epoch - chosen, eval": by_epoch[-1] - by_epoch[stop - 1],
        "best epoch - chosen, eval": by_epoch.max() - by_epoch[stop - 1],
        "ema - best epoch, others": ema - best, "soup - best epoch, others": soup - best,
        "epochs in the soup": float(known["soup_of"]),
    }  # fmt: skip


def _grown(promise: Interval, counts: Counts) -> Interval:
    """The promise for training on all people, by the `counts` of the trial and the smaller one."""
    larger = grown({METRIC: promise.value, **promise.limits()}, gain(counts, METRIC, POWER), METRIC, {})
    return replace(promise, value=larger[METRIC], low=larger["low"], high=larger["high"])


def dealt(known: Answered, seed: int) -> list[tuple[float, bool, float, bool]]:
    """(Promise minus seen, whether its interval holds what is seen, both of the grown one) of DEALS deals of
    the other people."""
    size, total = (len(np.unique(known[name])) for name in ("fold_group", "group"))
    parts = max(2, total // size)
    photos = pd.DataFrame({"group": known["group"], "label": known["label"]})
    people = np.unique(known["group"], return_index=True)[1]
    each = counts(known, "", ("best", "smaller", "all"))
    found = []
    for deal in range(DEALS):
        part = fold_of(photos, parts, seed * DEALS + deal // parts).to_numpy()[people] == deal % parts
        promise = intervals(_part(each.recipes([0]), part), METRIC)[0]
        larger = _grown(promise, _part(each.recipes([0, 1]), part))
        (seen,) = observed(_part(each.recipes([2]), ~part), METRIC)
        found.append(
            tuple(x for one in (promise, larger) for x in (one.value - seen, one.low <= seen <= one.high))
        )
    return found


def _part(every: Counts, some: np.ndarray) -> Counts:
    return Counts(every.truth[some], every.given[some], every.hits[some])


def text(seeds: Mapping[int, Answered]) -> str:
    """The figures' means and standard deviations over the seeds."""
    table = pd.DataFrame([of_seed(known) for known in seeds.values()])
    lines = [f"{name:28}{table[name].mean():+8.4f} ({table[name].std():.3f})" for name in table]
    deals = [one for seed, known in seeds.items() for one in dealt(known, seed)]
    for name, (errors, covered) in zip(
        ("promise", "grown"), np.split(np.array(deals, float).T, 2), strict=True
    ):
        lines.append(
            f"{len(deals)} deals: {name} - seen {errors.mean():+.4f} ({errors.std():.3f}), the interval "
            f"covers {covered.mean():.1%}"
        )
    return "\n".join(lines)


def of_heads(
    head: str, seeds: int, data: Path, answers: Path, out: Path, people: int, others: int
) -> dict[int, Answered]:
    """`head_answers` of each seed, on the features of the packaged network."""
    start, unknown = _start(parse({**HEADS, "data": str(data)}), answers, out)
    assert start.features is not None
    more = features_of(start.network, unknown, start.preprocessing, start.compute, "none", 0)[:, 0]
    fewer = make_pipeline(PCA(COMPONENTS, random_state=0), StandardScaler()).fit(start.features[:, 0])
    known = fewer.transform(start.features[:, 0])
    to_predict = fewer.transform(more), unknown["label"].to_numpy()
    return {
        seed: head_answers(head, seed, known, start.table, to_predict, people, others)
        for seed in range(seeds)
    }


def of_networks(
    seeds: int, data: Path, answers: Path, out: Path, people: int, others: int
) -> dict[int, Answered]:
    """`answered` of each seed, kept in `out`; printed."""
    found: dict[int, Answered] = {}
    for seed in range(seeds):
        path = out / f"{seed}.npz"
        if not path.exists():
            made = answered(seed, data, answers, out, people, others)

            def write(part: Path, made: dict[str, np.ndarray] = made) -> None:
                with part.open("wb") as file:
                    np.savez_compressed(file, **made)  # type: ignore[arg-type]

            write_atomic(path, write)
        with np.load(path) as read:
            found[seed] = dict(read)
        shown = ", ".join(f"{name} {value:.3f}" for name, value in of_seed(found[seed]).items())
        print(f"seed {seed}: {shown}", flush=True)
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("data", "answers", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--people", type=int, default=300)
    parser.add_argument("--others", type=int, default=300)
    parser.add_argument("--heads", choices=("lda", "mlp"))
    asked = parser.parse_args(arguments)
    given = asked.seeds, asked.data, asked.answers, asked.out, asked.people, asked.others
    print(text(of_heads(asked.heads, *given) if asked.heads else of_networks(*given)))


if __name__ == "__main__":
    with exit_on_usage_error():
        main()
