"""The demo on real photos against the plain way of doing it, by macro-F1 on the eval answers and wall time.

The rival is the script that most people would write: tf_efficientnet_lite0 with the packaged ImageNet
weights, PIL and torchvision transforms one photo at a time in a DataLoader, Adam 3e-4, cross-entropy, flip
.5, 7 epochs at 128x96, split by person; no search. Both get the same photos; answers only score.

    python -m benchmarks.real_faces DATA ANSWERS.csv        (about 30 minutes on 2 cores)
"""

import sys
import time
from pathlib import Path

import timm
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from analysis.submission import read_answers, score_submission
from dataset.photos import read_eval, read_train
from dataset.split import split
from experiments.demo import OUT, demo
from trial.metrics import score
from trial.weights import load

EPOCHS, WORKERS, BATCH = 7, 1, 64
MODEL = "tf_efficientnet_lite0"


class PlainPhotos(Dataset):
    def __init__(self, table, augment: bool):
        self.paths = list(table["path"])
        self.labels = list(table["label"]) if "label" in table else [0] * len(table)
        steps = [transforms.Resize((128, 96))]
        steps += [transforms.RandomHorizontalFlip()] if augment else []
        self.transform = transforms.Compose(
            [*steps, transforms.ToTensor(), transforms.Normalize([0.5] * 3, [0.5] * 3)]
        )

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, row: int):
        return self.transform(Image.open(self.paths[row]).convert("RGB")), self.labels[row]


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
    loader = DataLoader(PlainPhotos(train, True), BATCH, shuffle=True, num_workers=WORKERS)
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
    loader = DataLoader(PlainPhotos(table, False), BATCH, num_workers=WORKERS)
    return torch.cat([network(images).argmax(1) for images, _ in loader]).numpy()


def main(data: Path, answers: Path) -> None:
    started = time.perf_counter()
    demo(data)
    ours, our_seconds = score_submission(OUT / "submission.csv", answers), time.perf_counter() - started
    started = time.perf_counter()
    network, validated = plain_way(data)
    photos = read_eval(data)
    truth, _ = read_answers(answers)
    labels = truth.set_index("ImageID")["ans"].loc[photos["photo"]].to_numpy()
    plain, plain_seconds = score(labels, answers_of(network, photos)), time.perf_counter() - started
    print(f"\n{'':12}macro-F1  accuracy  minutes")
    print(f"{'demo':12}{ours['macro_f1']:8.3f}  {ours['accuracy']:8.3f}  {our_seconds / 60:7.1f}")
    print(f"{'plain way':12}{plain.macro_f1:8.3f}  {plain.accuracy:8.3f}  {plain_seconds / 60:7.1f}")
    ratio, longer = ours["macro_f1"] / plain.macro_f1, our_seconds / plain_seconds
    print(f"{'ratio':12}{ratio:8.2f}  {ours['accuracy'] / plain.accuracy:8.2f}  {longer:7.2f}")
    print(f"(the plain way on its validation people: macro-F1 {validated:.3f}; the demo's search included)")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
