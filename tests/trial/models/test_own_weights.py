"""Every kind of network takes its own weights from a file and refuses another's. All of them: see
tests/trial/models/kinds_of_networks.py."""

import pytest
import timm
import torch

from common.errors import UsageError
from tests.trial.models.kinds_of_networks import SMALLEST, of_each_kind, size_of
from trial.catalogue import networks
from trial.models import factory
from trial.models.heads import last_layers
from trial.models.pretrained import with_weights

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
        return factory.create(name, size, 18, state)

    with torch.device("meta"):
        own, foreign = (timm.create_model(n).state_dict() for n in (name, other))
        with_weights(create, {f"model.{key}": tensor for key, tensor in own.items()}, "weights=FILE", name)
        with pytest.raises(UsageError, match=f"weights=FILE don't fit {name}: "):
            with_weights(create, foreign, "weights=FILE", name)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["vit_small_resnet26d_224", "levit_384_s8"])
def test_a_backbone_of_its_own_is_not_fetched_and_a_second_head_begins_again(name):
    """timm would ask the hub for the backbone's weights, and lists only the first of the two heads."""
    test_its_own_weights_are_taken_and_another_networks_refused(name)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_no_layer_but_the_last_ones_hangs_on_the_number_of_classes():
    for name in [*SMALLEST.values(), "levit_384_s8", "deit_tiny_distilled_patch16_224"]:
        with torch.device("meta"):
            network, other = (factory.create(name, size_of(name), outputs) for outputs in (18, 23))
        last = {id(parameter) for layer in last_layers(network) for parameter in layer.parameters()}
        shapes = {key: tensor.shape for key, tensor in other.named_parameters()}
        for key, parameter in network.named_parameters():
            assert (parameter.shape != shapes[key]) == (id(parameter) in last), (name, key)
