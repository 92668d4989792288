"""One network on several GPUs: a process on each (a rank), started by `run_ranks` or torchrun, and torch's
DistributedDataParallel.

Each rank reads, augments and mixes whole batches, from the same random draws as one process would, and runs
the network on its part of each. Then all ranks have all logits, and with them the same loss, scores and
decisions: losses over a batch and mixing across it are what they are on one GPU. Rank 0 records the run.
"""

import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from common.errors import UsageError
from common.process import end_with_parent

if TYPE_CHECKING:
    from torch import Tensor, nn

TORCHRUN = "TORCHELASTIC_RUN_ID"  # environment variable that torchrun sets
STORE = "FACE_MASK_STORE"  # that of `run_ranks`: the file through which its processes find each other
LOOK_SECONDS = 0.2
MIN_PART = 2  # photos of a batch that a network is given: batch normalisation can't take one
REPORT_SECONDS = 5  # that rank 0 gets to record an error, before another rank with the same error ends


@dataclass(frozen=True)
class Ranks:
    """The place of this process among the `world` that train one network."""

    rank: int = 0
    world: int = 1

    def join(self) -> None:
        """Wait for the others to join; each GPU has its process from then on."""
        if self.world == 1:
            return
        import torch

        on_gpu = torch.cuda.is_available()
        if on_gpu and self.rank < torch.cuda.device_count():
            torch.cuda.set_device(self.rank)
        store = os.environ.get(STORE)
        torch.distributed.init_process_group(
            "cpu:gloo,cuda:nccl" if on_gpu else "gloo",
            init_method=f"file://{store}" if store else None,
            rank=self.rank,
            world_size=self.world,
        )

    def leave(self) -> None:
        """After the training, which all have ended."""
        if self.world > 1:
            import torch

            torch.distributed.destroy_process_group()

    def broadcast(self, content: Any = None) -> Any:
        """What rank 0 gives here, on every rank."""
        if self.world == 1:
            return content
        import torch

        given = [content]
        torch.distributed.broadcast_object_list(given)
        return given[0]

    def logits(self, network: "Callable[[Tensor], Tensor]", images: "Tensor") -> "Tensor":
        """`network(images)`, float32 (B, classes), for which each rank runs the network on its part of the
        images. The gradient is that of its part."""
        if self.world == 1:
            return network(images).float()
        import torch

        first, end = (len(images) * rank // self.world for rank in (self.rank, self.rank + 1))
        start = max(0, min(first, end - MIN_PART))  # a smaller part runs with photos of another one
        own = network(images[start : max(end, MIN_PART)]).float()[first - start : end - start]
        logits = own.new_zeros(len(images), own.shape[1])
        logits[first:end] = own.detach()
        torch.distributed.all_reduce(logits)
        logits[first:end] = own
        return logits

    def parallel(self, network: "nn.Module", frozen: bool) -> "nn.Module":
        """The network for training passes, after each of which every rank has the mean of the ranks'
        gradients. `frozen`: layers are frozen in some epochs."""
        if self.world == 1:
            return network
        from torch.nn.parallel import DistributedDataParallel

        # Kernels of one pixel have several strides for one order in memory; DDP warns of that.
        warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
        return DistributedDataParallel(network, forward_sync_buffers=False, find_unused_parameters=frozen)

    def synchronise(self, network: "nn.Module") -> None:
        """Let batch normalisations take their statistics over the parts of all ranks; once a network is on
        its GPU. There is no such layer for the CPU."""
        from timm.layers import convert_sync_batchnorm
        from torch import nn

        # Timm's function would make a plain layer of its own one, which has an activation.
        if not any(isinstance(module, nn.SyncBatchNorm) for module in network.modules()):
            convert_sync_batchnorm(network)

    def average_statistics(self, *networks: "nn.Module") -> None:
        """Give the running statistics of batch normalisations the mean over the ranks; each had seen its
        parts only."""
        if self.world == 1:
            return
        import torch

        for network in dict.fromkeys(networks):  # in the same order on all ranks
            for module in network.modules():
                for buffer in module.buffers(recurse=False) if hasattr(module, "running_var") else ():
                    if buffer.is_floating_point():
                        torch.distributed.all_reduce(buffer)
                        buffer /= self.world


ALONE = Ranks()


def started_as() -> Ranks:
    """The place of this process among those that `run_ranks` or torchrun started; ALONE without them.
    UsageError if they are on several machines."""
    given = os.environ
    if not is_one_of_several():
        return ALONE
    if given["LOCAL_WORLD_SIZE"] != given["WORLD_SIZE"]:
        raise UsageError("a network is trained on the GPUs of one machine; leave out torchrun's --nnodes")
    return Ranks(int(given["RANK"]), int(given["WORLD_SIZE"]))


def is_one_of_several() -> bool:
    """Whether `run_ranks` or torchrun started this process."""
    return TORCHRUN in os.environ or STORE in os.environ


def run_ranks(world: int, words: Sequence[str], threads: int) -> int:
    """Run `python WORDS` in `world` processes of `threads` threads each; the first exit code that is not 0.
    If one fails the others are ended.

    torchrun does the same, but listens on all addresses of the machine, and turns every exit code into 1.
    """
    with tempfile.TemporaryDirectory() as folder:
        environ = {**os.environ, STORE: f"{folder}/store", "OMP_NUM_THREADS": str(threads)}
        environ |= {"WORLD_SIZE": str(world), "LOCAL_WORLD_SIZE": str(world)}
        if sys.platform == "linux":
            environ |= {"GLOO_SOCKET_IFNAME": "lo", "NCCL_SOCKET_IFNAME": "lo"}
        running = [
            subprocess.Popen(
                [sys.executable, *words], env={**environ, "RANK": str(rank)}, preexec_fn=end_with_parent
            )
            for rank in range(world)
        ]
        try:
            while None in (codes := [process.poll() for process in running]) and not any(codes):
                time.sleep(LOOK_SECONDS)
        finally:
            for process in running:
                process.terminate()
            for process in running:
                process.wait()
    return next((code for code in codes if code), 0)


@contextmanager
def following() -> Iterator[None]:
    """What ranks other than 0 do runs in here: they show nothing. Most errors are on all ranks, and rank 0
    reports them: this process is then ended before it does so, too."""
    try:
        with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
            yield
    except Exception:
        time.sleep(REPORT_SECONDS)
        raise
