import torch

from tests.trial.learning.test_param_groups import JOINT, built
from trial.learning.freezing import FREEZES
from trial.learning.optimizers import OPTIMIZERS
from trial.learning.param_groups import param_groups

torch.set_num_threads(1)  # tests run side by side


def one_epoch(network, config, epoch: int) -> set[str]:
    """Trains as trial/fit.py does; the names of parameters and statistics that changed."""
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    optimizer = config.optimizer.build(
        OPTIMIZERS,
        param_groups(network, config.layer_decay, config.weight_decay),
        config.learning_rate,
        config.weight_decay,
    )
    network.train()
    config.freeze.build(FREEZES)(network, epoch)
    for group in optimizer.param_groups:
        group["lr"] = config.learning_rate * group["lr_scale"]
    for step in range(2):  # at the first one, the gain of 0 at the end of each block keeps gradients back
        photos = torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(step))
        torch.nn.functional.cross_entropy(network(photos), torch.arange(8)).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return {name for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])}


def test_the_head_alone_learns_first_and_nothing_below_moves_its_statistics_either():
    network, config = built(freeze={"_name": "backbone", "epochs": 2}, epochs=3)
    for epoch in (1, 2):
        assert one_epoch(network, config, epoch) == {"fc.weight", "fc.bias"}
    assert one_epoch(network, config, 3) == set(network.state_dict())


def test_one_stage_more_learns_after_each_so_many_epochs():
    network, config = built(freeze={"_name": "gradual", "every": 2}, epochs=12)
    tops = ["fc", "layer4", "layer3", "layer2", "layer1", ""]
    for epoch in (1, 2, 3, 4, 5, 7, 9, 11, 12):
        prefixes = tuple(tops[: (epoch - 1) // 2 + 1])
        expected = {name for name in network.state_dict() if name.startswith(prefixes)}
        assert one_epoch(network, config, epoch) == expected, epoch


def test_all_of_it_learns_from_the_start_when_nothing_is_frozen():
    network, config = built()
    assert one_epoch(network, config, 1) == set(network.state_dict())


def test_the_head_of_several_networks_is_their_last_layer_and_each_ones_own():
    network, config = built(model=JOINT, freeze="backbone")
    heads = {"last", "members.0.fc", "members.1.classifier"}
    assert one_epoch(network, config, 1) == {
        f"{head}.{what}" for head in heads for what in ("weight", "bias")
    }
    assert one_epoch(network, config, 2) == set(network.state_dict())
