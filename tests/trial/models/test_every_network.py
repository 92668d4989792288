"""Networks survive what a trial does with them: they are built, trained, saved, loaded, and give the
same answers again. Which ones, and how all: see tests/trial/models/kinds_of_networks.py."""

import shutil

import numpy as np
import pytest
import timm
import torch

from analysis.predict.trained import load
from dataset.read import read_train
from tests.conftest import TINY
from tests.trial.models.kinds_of_networks import LARGE, SMALLEST, of_each_trained, size_of
from tests.trial.training import held_out, training_of
from trial.catalogue import networks
from trial.config import parse
from trial.fit import fit
from trial.models.heads import last_layers
from trial.run_folder.record import RunWriter

torch.set_num_threads(1)  # tests run side by side


def test_each_module_of_timm_has_a_network_here():
    offered = {
        module: networks().keys() & set(timm.list_models(module=module)) for module in timm.list_modules()
    }
    assert {module for module, names in offered.items() if names} == SMALLEST.keys() | LARGE
    assert [name for module, name in SMALLEST.items() if name not in offered[module]] == []


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@of_each_trained
def test_it_learns_is_saved_loaded_and_gives_the_same_answers(name, people, tmp_path):
    size = size_of(name)
    batch = 4 if min(size) < 100 else 2
    values = {
        "model": name, "image_size": list(size), "epochs": 1, "batch_size": batch, "optimizer": "sgd",
        "layer_decay": 0.9, "ema": 0.5,
    }  # fmt: skip
    config = parse({**TINY, **values})
    table = read_train(people).table.iloc[::15]
    training = training_of(config, table.head(2 * batch))
    before = [layer.weight.detach().clone() for layer in last_layers(training.network)]
    writer = RunWriter(tmp_path / "run", config)
    writer.origin({"data_fingerprint": "f" * 64})
    writer.preprocessing(training.forward.preprocessing)
    (epoch,) = fit(training, held_out(training, table.tail(batch), batch))
    writer.epoch(epoch.row())
    writer.weights(epoch.network.state_dict())
    writer.end("done")
    learned = last_layers(epoch.network)
    assert not any(torch.equal(old, new.weight) for old, new in zip(before, learned, strict=True))
    trained = load(tmp_path / "run")
    torch.set_num_threads(1)  # few steps leave some networks so sharp that two threads' rounding would tell
    again = trained.predict(table.tail(batch))
    shutil.rmtree(tmp_path)  # pytest keeps what the last tests wrote
    assert np.allclose(again, epoch.probabilities, atol=1e-4)
