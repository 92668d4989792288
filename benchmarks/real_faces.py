"""The demo on real photos against the plain way of doing it, by macro-F1 on the eval answers and wall time.

The rival is the script that most people would write: tf_efficientnet_lite0 with the packaged ImageNet
weights, PIL and torchvision transforms one photo at a time in a DataLoader, Adam 3e-4, cross-entropy, flip
.5, 7 epochs at 128x96, split by person; no search. Both get the same photos; answers only score. With SEEDS
the demo is run with each of the seeds 0 to SEEDS - 1, and its mean is compared.

    python -m benchmarks.real_faces DATA ANSWERS.csv [SEEDS]        (about 30 minutes on 2 cores for one seed)
"""

import sys
import time
from pathlib import Path

import numpy as np
import timm
import torch
from torch.utils.data import DataLoader
from torchvision import transforms

from analysis.submission import read_answers, score_submission
from benchmarks.rivals import HALF, PlainPhotos
from dataset.photos import read_eval, read_train
from dataset.split import split
from experiments.demo import OUT, demo
from trial.metrics import score
from trial.weights import load

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
    train, validation = split(read_train(data), 0, 5, seed)
    network = timm.create_model(
        MODEL,
        pretrained=True,
        pretrained_cfg_overlay={"state_dict": load(MODEL, "package")},
        num_classes=18,
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
    return network, score(validation["label"].to_numpy(), answers_of(network, validation)).macro_f1


@torch.inference_mode()
def answers_of(network, table):
    network.eval()
    loader = DataLoader(PlainPhotos(table, transform(False)), BATCH, num_workers=WORKERS)
    return torch.cat([network(images).argmax(1) for images, _ in loader]).numpy()


def main(data: Path, answers: Path, seeds: int = 1) -> None:
    ours, our_seconds = [], []
    for seed in range(seeds):
        started = time.perf_counter()
        demo(data, settings=[f"seed={seed}"])
        our_seconds.append(time.perf_counter() - started)
        ours.append(score_submission(OUT / "submission.csv", answers))
        print(f"demo, seed {seed}: macro-F1 {ours[-1]['macro_f1']:.3f}, accuracy {ours[-1]['accuracy']:.3f}, "
              f"{our_seconds[-1] / 60:.1f} minutes", flush=True)  # fmt: skip
    started = time.perf_counter()
    network, validated = plain_way(data)
    photos = read_eval(data)
    truth, _ = read_answers(answers)
    labels = truth.set_index("ImageID")["ans"].loc[photos["photo"]].to_numpy()
    plain, plain_seconds = score(labels, answers_of(network, photos)), time.perf_counter() - started
    macro_f1, accuracy = (np.mean([one[name] for one in ours]) for name in ("macro_f1", "accuracy"))
    minutes, plain_minutes = np.mean(our_seconds) / 60, plain_seconds / 60
    print(f"\n{'':12}macro-F1  accuracy  minutes")
    print(f"{'demo':12}{macro_f1:8.3f}  {accuracy:8.3f}  {minutes:7.1f}   (mean of {seeds})")
    print(f"{'plain way':12}{plain.macro_f1:8.3f}  {plain.accuracy:8.3f}  {plain_minutes:7.1f}")
    print(f"{'ratio':12}{macro_f1 / plain.macro_f1:8.2f}  {accuracy / plain.accuracy:8.2f}  "
          f"{minutes / plain_minutes:7.2f}")  # fmt: skip
    print(f"(the plain way on its validation people: macro-F1 {validated:.3f}; the demo's search included)")


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:]))
