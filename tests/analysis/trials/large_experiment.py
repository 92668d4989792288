"""An experiment's folder of any size, filled in a second for some hundred trials: for tests and benchmarks.

Laid out as NNI and the trials leave it: NNI's record of each trial, and the files that analysis reads (no
weights: those would be gigabytes). Recipes are drawn from search_spaces/full.json.
"""

import json
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from common.process import process_mark
from dataset.face_masks.labels import FACE_MASK
from tests.analysis.fake_experiment import make_experiment
from trial.config import parse

N_CLASSES = FACE_MASK.n_classes
SPACE = json.loads((Path(__file__).parents[3] / "search_spaces" / "full.json").read_text())
PHOTOS, KINDS_OF_VALIDATION = 1300, 8
EVENTS = {"done": "SUCCEEDED", "stopped_early": "EARLY_STOPPED", "failed": "FAILED", "running": "RUNNING"}
SHARES = (0.78, 0.16, 0.05, 0.01)


class LargeExperiment:
    """`grow(n)` adds trials until there are `n`; of every hundred, number 50 ran another learning rate than NNI
    recorded (`mismatched` names those), and number 70 another parameter of its loss, if that has one."""

    def __init__(self, folder: Path, epochs: int = 30):
        self.folder, self.epochs, self.trials, self.mismatched = folder, epochs, 0, list[str]()
        self.random = np.random.default_rng(0)
        self.database = sqlite3.connect(make_experiment(folder, SPACE, "large") / "db" / "nni.sqlite")
        self.validations = [self._validation() for _ in range(KINDS_OF_VALIDATION)]

    def grow(self, trials: int) -> None:
        for number in range(self.trials, trials):
            self._add(number, f"T{number:05d}")
        self.database.commit()
        self.trials = trials

    def _add(self, number: int, trial: str) -> None:
        recorded = self._draw(SPACE)
        state = "done" if not number else self.random.choice([*EVENTS], p=SHARES)
        data = json.dumps({"parameter_id": number, "parameters": recorded, "parameter_source": "algorithm"})
        for event, said in (("WAITING", data), ("RUNNING", None), (EVENTS[state], None)):
            add = "insert into TrialJobEvent values (0,?,?,?,'',?,'')"
            self.database.execute(add, (trial, event, said, number))
        fixed = {"batch_size": 32, "epochs": self.epochs, "patience": 4, "data": "input"}
        ran = {**fixed, **recorded, **self._changed(number, trial, recorded)}
        config = parse(ran, present=False)
        epochs = self._epochs(config.learning_rate)
        best = int(epochs["macro_f1"].argmax())
        status = {
            "state": state, "reason": "the loss is nan" if state == "failed" else "",
            "started": "2026-01-01T00:00:00+0000", "ended": "2026-01-01T00:10:00+0000",
            "process": process_mark(), "epochs": len(epochs), "seconds": round(float(epochs["seconds"].sum()), 2),
            "best_epoch": best + 1, "macro_f1": float(epochs["macro_f1"][best]),
            "metric": "macro_f1", "score": float(epochs["macro_f1"][best]),
        }  # fmt: skip
        prepared = {
            "image_size": config.image_size, "mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic",
        }  # fmt: skip
        origin = {
            "code": {"commit": "0" * 40, "changed": False, "changes": None},
            "versions": {"python": "3.11.7"} | {f"package{i}": "1.0.0" for i in range(10)},
            "data_fingerprint": "f" * 64, "experiment": "large", "trial": trial,
        }  # fmt: skip
        folder = self.folder / "trials" / trial
        folder.mkdir(parents=True)
        files = {"config": config.to_json(), "status": status, "origin": origin, "preprocessing": prepared}
        for name, value in files.items():
            (folder / f"{name}.json").write_text(json.dumps(value, indent=2) + "\n")
        epochs.to_csv(folder / "epochs.csv", index=False)
        (folder / "validation.parquet").write_bytes(self.validations[number % KINDS_OF_VALIDATION])

    def _changed(self, number: int, trial: str, recorded: dict[str, Any]) -> dict[str, Any]:
        """What the trial ran other than recorded."""
        changed: dict[str, Any] = {}
        if number % 100 == 50:
            changed = {"learning_rate": recorded["learning_rate"] * 2}
        if number % 100 == 70 and "gamma" in recorded["loss"]:
            changed = {"loss": recorded["loss"] | {"gamma": recorded["loss"]["gamma"] + 0.001}}
        self.mismatched += [trial] if changed else []
        return changed

    def _draw(self, space: dict[str, Any]) -> dict[str, Any]:
        """A point of the space, as a tuner gives it."""
        return {name: self._draw_one(spec["_type"], spec["_value"]) for name, spec in space.items()}

    def _draw_one(self, kind: str, values: list[Any]) -> Any:
        if kind == "choice":
            value = values[self.random.integers(len(values))]
            if isinstance(value, dict):
                inner = {key: spec for key, spec in value.items() if key != "_name"}
                return {"_name": value["_name"], **self._draw(inner)}
            return value
        ends = np.log(values) if kind == "loguniform" else np.array(values)
        drawn = self.random.uniform(*ends)
        return float(np.exp(drawn) if kind == "loguniform" else drawn)

    def _epochs(self, learning_rate: float) -> pd.DataFrame:
        """epochs.csv, with every column of `trial.fit.Epoch.row`."""
        top = 0.7 - 0.1 * abs(np.log10(learning_rate) + 3.5) + self.random.normal(0, 0.05)
        steps = np.arange(1, self.epochs + 1)
        scores = np.clip(top * (1 - np.exp(-steps / 6)) + self.random.normal(0, 0.01, len(steps)), 0.02, 1)
        columns = {
            "epoch": steps, "seconds": self.random.uniform(20, 22, len(steps)),
            "learning_rate": learning_rate * np.cos(steps / len(steps)), "train_loss": 3 * np.exp(-steps / 6),
            "train_accuracy": scores, "validation_loss": 3 * np.exp(-steps / 8), "accuracy": scores + 0.1,
            "macro_f1": scores, "balanced_accuracy": scores + 0.05, "negative_log_loss": -3 * np.exp(-steps / 8),
        }  # fmt: skip
        recalls = {f"recall_{label:02d}": self.random.uniform(0, 1, len(steps)) for label in range(N_CLASSES)}
        return pd.DataFrame(columns | recalls)

    def _validation(self) -> bytes:
        labels = self.random.integers(N_CLASSES, size=PHOTOS)
        chances = self.random.dirichlet(np.full(N_CLASSES, 0.3), PHOTOS).astype(np.float32)
        table = pd.DataFrame(chances, columns=[f"p{label:02d}" for label in range(N_CLASSES)])
        table.insert(0, "photo", [f"{row // 7:06d}/mask{row % 7}.jpg" for row in range(PHOTOS)])
        table.insert(1, "person", [f"{row // 7:06d}" for row in range(PHOTOS)])
        return table.assign(fold=0, label=labels).to_parquet(index=False)
