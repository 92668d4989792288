"""Every kind of network takes its own weights from a file and refuses another's. All of them: see
tests/trial/kinds_of_networks.py."""

import pytest
import timm
import torch

from dataset.errors import CallersMistake
from tests.trial.kinds_of_networks import of_each_kind, size_of
from trial import models
from trial.catalogue import networks
from trial.pretrained import with_weights

torch.set_num_threads(1)  # tests run side by side


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@of_each_kind
def test_its_own_weights_are_taken_and_another_networks_refused(name):
    """On torch's meta device, where shapes and names are real and numbers aren't."""
    known = networks()[name]
    size = (
        size_of(name) if known.tags or not known.fixed else known.fixed
    )  # without weights, resampling is untried
    other = "test_vit" if "res" in name else "resnet18"

    def create(state):
        return models.create(name, size, 18, state)

    with torch.device("meta"):
        own, foreign = (timm.create_model(n).state_dict() for n in (name, other))
        with_weights(create, {f"model.{key}": tensor for key, tensor in own.items()}, "weights=FILE", name)
        with pytest.raises(CallersMistake, match=f"weights=FILE don't fit {name}: "):
            with_weights(create, foreign, "weights=FILE", name)
