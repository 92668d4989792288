import logging
import shutil
from dataclasses import replace

import pytest
import timm
import torch

from common.errors import UsageError
from common.machine import cores
from tests.conftest import TINY
from trial.config import parse
from trial.process.compute import decide


def decided(model="resnet18", **values):
    return decide(timm.create_model(model), **values)


@pytest.fixture
def with_amx(monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True)


@pytest.fixture
def without_amx(monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)


def test_narrow_convolutions_get_contiguous_photos():
    """Only those: channels_last is faster. Their outputs are the same."""
    torch.manual_seed(0)
    narrow, wide = torch.nn.Conv2d(3, 8, 1, stride=2), torch.nn.Conv2d(8, 8, 1, stride=2)
    network = torch.nn.Sequential(narrow, wide)
    seen = []
    for layer in network:
        layer.register_forward_hook(lambda _, inputs, outputs: seen.append(inputs[0].is_contiguous()))
    photos = torch.rand(2, 3, 16, 16).to(memory_format=torch.channels_last)
    before = network(photos.contiguous())
    decide(network, device="cpu").place(network)
    seen.clear()
    assert torch.allclose(network(photos), before, atol=1e-6)
    assert seen[0]
    assert narrow.weight.is_contiguous()
    assert wide.weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU decides otherwise")
@pytest.mark.usefixtures("with_amx")
def test_plain_convolutions_take_bfloat16_where_the_processor_multiplies_it():
    assert decided("resnet18").precision == torch.bfloat16
    assert decided("lcnet_050").precision is torch.float32
    assert decided("resnext26ts").precision is torch.float32
    assert decided("resnet18", precision="float32").precision is torch.float32


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU decides otherwise")
@pytest.mark.usefixtures("without_amx")
def test_elsewhere_it_is_float32():
    assert decided("resnet18").precision is torch.float32
    assert decided("resnet18", precision="bfloat16").precision == torch.bfloat16


def test_threads_are_those_asked_for_or_the_cores():
    before = torch.get_num_threads()
    try:
        decided(threads=1)
        assert torch.get_num_threads() == 1
        decided(threads=0)
        assert torch.get_num_threads() == cores()
    finally:
        torch.set_num_threads(before)


def test_compiling_without_a_compiler_is_refused_in_words(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: "/bin/mycc" if name == "mycc" else None)
    with pytest.raises(UsageError, match="needs a compiler"):
        parse({**TINY, "compile": True})
    monkeypatch.setenv("CXX", "mycc -O2")
    assert parse({**TINY, "compile": True}).compile
    monkeypatch.setenv("CXX", " ")
    assert parse(TINY), "what it names matters only with compile"


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here")
def test_a_gpu_that_is_not_there_is_refused_in_words():
    with pytest.raises(UsageError, match="no GPU"):
        decided(device="cuda")
    with pytest.raises(UsageError, match="device=mps: no Apple GPU"):
        decided(device="mps")


def test_a_gpu_beyond_those_that_are_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(UsageError, match="device=cuda:7: torch can use 2 GPUs here, cuda:0 to cuda:1"):
        decided(device="cuda:7")


def test_photos_go_to_a_gpu_if_they_fit_and_to_another_device_if_that_is_asked_for(monkeypatch, caplog):
    """torch.empty stands in for the GPU's memory."""
    caplog.set_level(logging.INFO)
    compute = decided(device="cpu", threads=1)
    shape = (10, 4, 4, 3)
    assert compute.room_for("auto", shape) is compute.room_for("host", shape) is None
    assert compute.room_for("device", shape).shape == shape
    assert caplog.text == ""
    gpu = replace(compute, device=torch.device("cuda"))
    made, free = [], 4 * 480
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 10**6))
    monkeypatch.setattr(torch, "empty", lambda *shape, **how: made.append((shape, how)) or "memory")
    assert gpu.room_for("auto", shape) == "memory"
    assert made == [((shape,), {"dtype": torch.uint8, "device": gpu.device})]
    assert gpu.room_for("host", shape) is None
    free -= 1
    assert gpu.room_for("auto", shape) is gpu.room_for("device", shape) is None
    assert "10 photos (0.0 MiB) stay off the GPU" in caplog.text

    def taken(*shape, **how):
        raise torch.OutOfMemoryError

    free += 1
    monkeypatch.setattr(torch, "empty", taken)
    assert gpu.room_for("auto", shape) is None
    assert "its memory is taken" in caplog.text


def test_only_whole_batches_are_compiled(monkeypatch):
    asked = []

    def compiled(network, **how):
        asked.append(how)
        return lambda images: "compiled"

    monkeypatch.setattr(torch, "compile", compiled)
    compute = decided(device="cpu", threads=1)
    for compile, mode in ((True, None), ("graphs", "reduce-overhead")):
        passes = compute.passes(torch.nn.Identity(), compile, 4, False)
        assert asked.pop() == {"dynamic": False, "mode": mode}
        assert passes(torch.zeros(4, 3)) == "compiled"
        assert passes(torch.zeros(3, 3)).shape == (3, 3)
    network = torch.nn.Identity()
    assert compute.passes(network, False, 4, False) is network
    assert not asked
