"""The demo on real photos against the plain way: macro-F1 on the eval answers, and wall time.

The rival is the script that most people would write: tf_efficientnet_lite0 with the packaged ImageNet
weights, PIL and torchvision transforms one photo at a time in a DataLoader, Adam 3e-4, cross-entropy, flip
.5, 7 epochs at 128x96, split by person; no search. Both get the same photos; the answers are used for scores
only. With SEEDS both are run with each of the seeds 0 to SEEDS - 1, and their means are compared.

    python -m benchmarks.real_faces DATA ANSWERS.csv [SEEDS]        (about 30 minutes on 2 cores for one seed)
"""

import sys
import time
from pathlib import Path

import pandas as pd
import timm
import torch
from torch.utils.data import DataLoader
from torchvision import transforms

from analysis.score import score_submission
from analysis.submission import read_answers
from benchmarks.rivals import HALF, PlainPhotos
from dataset.face_masks.labels import FACE_MASK
from dataset.read import read_eval, read_train
from dataset.split import split
from experiments.demo import OUT, demo
from trial.metrics import score
from trial.models.weights import load

EPOCHS, WORKERS, BATCH = 7, 1, 64
MODEL = "tf_efficientnet_lite0"


def transform(augment: bool) -> transforms.Compose:
    flip = [transforms.RandomHorizontalFlip()] if augment else []
    return transforms.Compose(
        [transforms.Resize((128, 96)), *flip, transforms.ToTensor(), transforms.Normalize(HALF, HALF)]
    )


def plain_way(data: Path, seed: int = 0):
    """(trained network, macro-F1 of its last epoch on validation people)."""
    torch.manual_seed(seed)
    train, validation = split(read_train(data).table, 0, 5, seed)
    network = timm.create_model(
        MODEL,
        pretrained=True,
        pretrained_cfg_overlay={"state_dict": load(MODEL, "package")},
        num_classes=FACE_MASK.n_classes,
    )
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-4)
    loader = DataLoader(PlainPhotos(train, transform(True)), BATCH, shuffle=True, num_workers=WORKERS)
    for epoch in range(EPOCHS):
        network.train()
        for images, labels in loader:
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(network(images), labels).backward()
            optimizer.step()
        print(f"plain way: epoch {epoch + 1}/{EPOCHS}", flush=True)
    return network, score(
        validation["label"].to_numpy(), answers_of(network, validation), FACE_MASK.n_classes
    ).macro_f1


@torch.inference_mode()
def answers_of(network, table):
    network.eval()
    loader = DataLoader(PlainPhotos(table, transform(False)), BATCH, num_workers=WORKERS)
    return torch.cat([network(images).argmax(1) for images, _ in loader]).numpy()


def plain_score(data: Path, answers: Path, seed: int) -> dict[str, float]:
    network, validated = plain_way(data, seed)
    print(f"plain way, seed {seed}: macro-F1 {validated:.3f} on its validation people", flush=True)
    photos = read_eval(data)
    truth, _ = read_answers(answers, FACE_MASK)
    labels = truth.set_index("ImageID")["ans"].loc[photos["photo"]].to_numpy()
    plain = score(labels, answers_of(network, photos), FACE_MASK.n_classes)
    return {"macro_f1": plain.macro_f1, "accuracy": plain.accuracy}


def demo_score(data: Path, answers: Path, seed: int) -> dict[str, float]:
    demo(data, settings=[f"seed={seed}"])
    return score_submission(OUT / "submission.csv", answers)


def main(data: Path, answers: Path, seeds: int = 1) -> None:
    table = []
    for seed in range(seeds):
        for name, way in (("demo", demo_score), ("plain way", plain_score)):
            started = time.perf_counter()
            scores = way(data, answers, seed)
            minutes = (time.perf_counter() - started) / 60
            table.append((name, scores["macro_f1"], scores["accuracy"], minutes))
            print(f"{name}, seed {seed}: macro-F1 {scores['macro_f1']:.3f}, "
                  f"accuracy {scores['accuracy']:.3f}, {minutes:.1f} minutes", flush=True)  # fmt: skip
    means = (
        pd.DataFrame(table, columns=["", "macro-F1", "accuracy", "minutes"]).groupby("", sort=False).mean()
    )
    means.loc["ratio"] = means.loc["demo"] / means.loc["plain way"]
    print(f"\nmeans of {seeds}:\n{means.round(3).to_string()}\n(the demo's search included)")


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:]))
