"""A made-up search of any size, shaped like a real one: table, curves, validation, submission."""

import numpy as np
import pandas as pd

from dataset.face_masks.labels import FACE_MASK

MODELS = ("tf_efficientnet_lite0", "resnet34", "mobilenetv3_small_100", "lcnet_050")
SIZES = ("64x48", "96x72", "128x96")
LOSSES = ("cross_entropy", "weighted", "focal")
AUGMENTS = ("none", "light", "baseline")


def search(trials: int, epochs: int = 8, seed: int = 0) -> tuple[pd.DataFrame, dict[str, pd.DataFrame]]:
    """Trials table and curves; about a fifth stopped early, a few failed or mismatched."""
    random = np.random.default_rng(seed)
    rows, curves = [], {}
    free = [0.0, 0.0]  # seconds at which each of two workers is free
    for number in range(trials):
        model, size = random.choice(MODELS), random.choice(SIZES)
        loss, augment = random.choice(LOSSES), random.choice(AUGMENTS)
        rate = float(10 ** random.uniform(-4.5, -2))
        state = "done" if number < 1 else random.choice(
            ["done", "stopped_early", "failed", "mismatch"], p=[0.74, 0.2, 0.04, 0.02]
        )  # fmt: skip
        top = 0.75 - 0.1 * abs(np.log10(rate) + 3) - 0.06 * MODELS.index(model) + 0.05 * SIZES.index(size)
        top += 0.03 * (loss == "focal") + 0.04 * (augment == "light") + random.normal(0, 0.04)
        ran = {"stopped_early": 3, "failed": 0}.get(state, epochs)
        curve = np.clip(
            top * (1 - np.exp(-np.arange(1, ran + 1) / 2.5)) + random.normal(0, 0.015, ran), 0.02, 1
        )
        trial = f"T{number:04d}"
        if ran:
            curves[trial] = pd.DataFrame(
                {
                    "epoch": np.arange(1, ran + 1),
                    "train_loss": 3 * np.exp(-np.arange(ran) / 3),
                    "validation_loss": 3 * np.exp(-np.arange(ran) / 4) + 0.3,
                    "macro_f1": curve,
                }
            )
        worker = free.index(min(free))
        free[worker] += ran * 7.3 * (0.7 + number * 0.37 % 0.6) + 0.5
        reason = {"stopped_early": "by the assessor", "failed": "the loss is nan: lower learning_rate",
                  "mismatch": "ran other values than NNI recorded: learning_rate"}.get(state, "")  # fmt: skip
        rows.append(
            {
                "sequence": number, "trial": trial, "state": state, "reason": reason,
                "macro_f1": curve.max() if ran else np.nan,
                "best_epoch": float(curve.argmax() + 1) if ran else np.nan,
                "seconds": ran * 7.3, "epochs_done": ran, "folder": f"trials/{trial}", "hours": free[worker] / 3600,
                "model": model, "weights": "none", "image_size": size, "epochs": epochs, "optimizer": "adam",
                "learning_rate": rate, "schedule": "cosine", "batch_size": 64, "loss": loss,
                **({"loss.gamma": float(random.uniform(0.5, 4))} if loss == "focal" else {}),
                "augment": augment, "seed": 0,
            }
        )  # fmt: skip
    columns = [
        "sequence",
        "trial",
        "state",
        "reason",
        "macro_f1",
        "best_epoch",
        "epochs_done",
        "seconds",
        "folder",
    ]
    table = pd.DataFrame(rows, columns=None if rows else columns)
    searched = ["model", "image_size", "learning_rate", "loss", "loss.gamma", "augment"]
    table.attrs["searched"] = [name for name in searched if name in table]
    return table, curves


def validation(photos: int = 900, absent: tuple[int, ...] = (17,), seed: int = 0) -> pd.DataFrame:
    """Photos with labels as unevenly spread as the real ones and probabilities that are often right."""
    random = np.random.default_rng(seed)
    fraction = np.tile([6, 5, 0.7, 9, 8, 1.3], 3) * np.repeat([5, 1, 1], 6)
    fraction[list(absent)] = 0
    labels = random.choice(FACE_MASK.n_classes, photos, p=fraction / fraction.sum())
    logits = random.normal(0, 1, (photos, FACE_MASK.n_classes))
    logits[np.arange(photos), labels] += 3
    logits[np.arange(photos), labels // 3 * 3 + 1] += 1.5
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    table = pd.DataFrame(probabilities, columns=[f"p{label:02d}" for label in range(FACE_MASK.n_classes)])
    table.insert(0, "photo", [f"{number:06d}/mask1.jpg" for number in range(photos)])
    table.insert(1, "group", [f"{number // 7:06d}" for number in range(photos)])
    table.insert(2, "fold", 0)
    table.insert(3, "label", labels)
    return table


def submission() -> dict:
    return {
        "recipe": {"model": "resnet34", "image_size": "128x96", "loss": {"_name": "focal", "gamma": 2.0}},
        "rule": {"schedule": "cosine over 8 epochs", "stopped_after": 6, "weights": "last"},
        "validation": {"macro_f1": 0.7342, "accuracy": 0.81},
        "data_fingerprint": "9f2c51b7e0a4",
        "code": {"commit": "3a67e96", "changed": False},
        "versions": {"torch": "2.14.1", "timm": "1.0.24"},
        "experiment": "k3Xq8ZtB",
        "trial": "T0007",
        "photos": 2793,
    }
