import pytest
import timm
from timm.models import get_pretrained_cfg, list_pretrained

import trial.models.other_networks  # noqa: F401 - registers them with timm
from common.errors import UsageError, errors_of
from tools.make_catalogue import ends, find_min_side, find_multiple, find_steps, other_sizes
from trial.catalogue import model_fields, networks, steps
from trial.config import parse


def test_the_names_tags_and_fixed_sizes_are_the_installed_timms():
    assert list(networks()) == sorted(timm.list_models(exclude_filters="*_enc"))
    tags = {}
    for full in list_pretrained():
        name, _, tag = full.partition(".")
        tags.setdefault(name, set()).add(tag)
    for name, network in networks().items():
        config = get_pretrained_cfg(name)
        assert set(network.tags) == tags.get(name, set()) - {""}, name
        assert network.fixed == (config.input_size[1:] if config.fixed_input_size else None), name
        assert not network.tags or network.tags[0] == config.tag, name
        assert network.ends == ends(name), name


@pytest.mark.parametrize("name", ["resnet18", "lcnet_050", "vgg11", "inception_v3", "alexnet"])
def test_the_smallest_size_is_the_first_that_runs(name):
    assert networks()[name].min_side == find_min_side(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet18", "dla34", "hrnet_w18_small", "csatv2"])
def test_sides_of_a_network_without_a_size_of_its_own_are_the_multiples_that_run(name):
    network = networks()[name]
    assert network.multiple == find_multiple(name, network.min_side)
    assert bool(network.multiple) == (name != "resnet18")
    recipe = {"model": name, "weights": "none"}
    refused = [
        errors_of(parse, recipe | {"image_size": "100x75"}),
        errors_of(parse, recipe | {"image_size": "128x64", "resizing": "progressive"}),
    ]
    for errors in refused:
        assert [f"{name} takes multiples of {network.multiple}" in one for one in errors] == (
            [True] if network.multiple else []
        )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["test_vit", "deepvit", "vit_base_patch14_dinov2", "levit_128"])
def test_the_other_sizes_are_those_that_it_can_be_built_for(name):
    network = networks()[name]
    sizes = (network.multiple, network.min_side) if network.multiple else None
    assert other_sizes(name, network.fixed) == sizes


def test_the_steps_are_the_installed_albumentations():
    assert steps() == find_steps()


def test_a_model_may_bring_other_fields_along():
    assert model_fields("resnet34") == {"model": "resnet34"}
    assert model_fields({"_name": "resnet34"}) == {"model": "resnet34"}
    option = {"_name": "resnet34", "weights": {"_type": "choice", "_value": ["hub", "none"]}}
    assert model_fields(option) == {"model": "resnet34", "weights": option["weights"]}
    assert model_fields({"_name": "resnet34", "train_share": 0.5})["train_fraction"] == 0.5  # an earlier name


@pytest.mark.parametrize("names", [("train_share", "train_fraction"), ("train_fraction", "train_share")])
def test_an_earlier_and_todays_name_inside_one_model_are_refused(names):
    with pytest.raises(UsageError) as caught:
        parse({"model": {"_name": "resnet34", **dict.fromkeys(names, 0.5)}}, present=False)
    wanted = "train_fraction is given twice inside model=resnet34, by its earlier name too"
    assert caught.value.errors == [wanted]
