"""Run in a process of its own: threads of torch, once placed, stay where they are."""

import os
import sys

import pytest

from common.machine import cores
from tests import forked

pytestmark = pytest.mark.skipif(sys.platform != "linux" or cores() < 2, reason="needs Linux and two cores")
BEGIN = """
import contextlib, hashlib, os, sys
import common
import timm, torch
from trial.process.compute import decide

def of_threads():
    return {frozenset(os.sched_getaffinity(int(task))) for task in os.listdir("/proc/self/task")}

torch.manual_seed(0)
network = timm.create_model("resnet10t", num_classes=18)
every = frozenset(os.sched_getaffinity(0))
"""
PLACED = """
compute = decide(network, precision="bfloat16", threads=2)
assert of_threads() == {every, frozenset(sorted(every)[1::2])}, of_threads()
with compute.apart():
    assert os.sched_getaffinity(0) == set(sorted(every)[::2])
    assert not os.sched_getaffinity(0) & frozenset(sorted(every)[1::2])
assert os.sched_getaffinity(0) == every
"""
OTHERS = """
for threads in (1, 3):
    assert decide(network, threads=threads).apart is None
os.sched_setaffinity(0, {min(every)})
assert decide(network, threads=2).apart is None
"""
GRADIENTS = """
torch.set_num_threads(2)
if sys.argv[1] == "apart":
    compute = decide(network, precision="bfloat16", threads=2)
photos = torch.randn(32, 3, 64, 48).contiguous(memory_format=torch.channels_last)
with torch.autocast("cpu", torch.bfloat16):
    loss = torch.nn.functional.cross_entropy(network(photos).float(), torch.arange(32) % 18)
with compute.on_own_cores() if sys.argv[1] == "apart" else contextlib.nullcontext():
    loss.backward()
print(hashlib.sha256(b"".join(p.grad.numpy().tobytes() for p in network.parameters())).hexdigest())
"""


def python(code: str, *words: str) -> str:
    environ = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    done = forked.run("-c", BEGIN + code, *words, env=environ)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_two_threads_have_cores_of_their_own_while_they_compute_gradients():
    python(PLACED)


def test_with_other_numbers_of_threads_or_one_core_nothing_is_changed():
    python(OTHERS)


@pytest.mark.slow
def test_gradients_are_the_same_bit_by_bit():
    assert python(GRADIENTS, "apart") == python(GRADIENTS, "")
