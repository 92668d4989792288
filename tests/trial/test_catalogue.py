import pytest
import timm
from timm.models import get_pretrained_cfg, list_pretrained

from trial.catalogue import find_steps, least_size, networks, steps


def test_the_names_tags_and_fixed_sizes_are_the_installed_timms():
    assert list(networks()) == sorted(timm.list_models())
    tags = {}
    for full in list_pretrained():
        name, _, tag = full.partition(".")
        tags.setdefault(name, set()).add(tag)
    for name, network in networks().items():
        config = get_pretrained_cfg(name)
        assert set(network.tags) == tags.get(name, set()) - {""}, name
        assert network.fixed == (config.input_size[1:] if config.fixed_input_size else None), name
        assert not network.tags or network.tags[0] == config.tag, name


@pytest.mark.parametrize("name", ["resnet18", "lcnet_050", "vgg11", "inception_v3"])
def test_the_least_size_is_the_smallest_that_runs(name):
    assert networks()[name].least == least_size(name)


def test_the_steps_are_the_installed_albumentations():
    assert steps() == find_steps()
