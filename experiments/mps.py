"""NVIDIA's Multi-Process Service (MPS) for the trials that share a GPU.

Without it their kernels take turns on the GPU; with it they run side by side, as far as there is room. The
daemon that is started here is the experiment's own: it has its folders and ends with it.
"""

import logging
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from common.process import end_with_parent
from experiments.plan import Plan

logger = logging.getLogger(__name__)
CONTROL = "nvidia-cuda-mps-control"
PIPES, LOGS = "CUDA_MPS_PIPE_DIRECTORY", "CUDA_MPS_LOG_DIRECTORY"  # environment variables of CUDA
START_SECONDS = 1.0  # a daemon that can't run here ends at once
END_SECONDS = 10.0
MAX_PATH = 80  # characters: the path of a socket in the folder of the pipes has at most 107


@contextmanager
def shared_gpus(plan: Plan) -> Iterator[Mapping[str, str]]:
    """Within the block a daemon of MPS runs, if the plan puts several trials on a GPU of this machine and the
    machine has MPS; yields the environment that connects the trials to it, {} without one.

    If it does not start, the log says why, and the trials share the GPU without it. The daemon and all that
    it started end with the block, however that ends.
    """
    service = plan.config.get("trainingService") or {}
    number = service.get("maxTrialNumberPerGpu") or 1
    if number == 1 or plan.machines or shutil.which(CONTROL) is None:
        yield {}
        return
    if not service.get("useActiveGpu"):  # MPS has a process on each GPU: NNI would find none idle
        logger.info(f"{number} trials share a GPU without MPS: with it NNI needs useActiveGpu: true")
        yield {}
        return
    plan.runs.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".mps.", dir=plan.runs, ignore_cleanup_errors=True) as made:
        folder = Path(made)
        places = {PIPES: str(folder / "pipes"), LOGS: str(folder / "logs")}
        if len(made) > MAX_PATH:
            logger.info(f"{number} trials share a GPU without MPS: the path {made} is too long for it")
            yield {}
            return
        for place in places.values():
            Path(place).mkdir()
        # It sees all GPUs: a trial's CUDA_VISIBLE_DEVICES counts those that the daemon sees.
        environ = {k: v for k, v in os.environ.items() if k != "CUDA_VISIBLE_DEVICES"} | places
        with (folder / "output").open("wb") as output:
            daemon = subprocess.Popen(
                [CONTROL, "-f"], env=environ, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                start_new_session=True, preexec_fn=end_with_parent,
            )  # fmt: skip
        try:
            if _runs(daemon):
                logger.info(f"{number} trials share a GPU by MPS")
                yield places
            else:
                said = (folder / "output").read_text(errors="replace").strip().rpartition("\n")[2]
                logger.info(f"{number} trials share a GPU without MPS: {CONTROL} ended: {said}")
                yield {}
        finally:
            _end(daemon, environ)


def _runs(daemon: "subprocess.Popen[bytes]") -> bool:
    with suppress(subprocess.TimeoutExpired):
        daemon.wait(START_SECONDS)
    return daemon.returncode is None


def _end(daemon: "subprocess.Popen[bytes]", environ: Mapping[str, str]) -> None:
    """Ask the daemon to quit; end it and its servers if it does not."""
    if daemon.poll() is not None:
        return
    started = psutil.Process(daemon.pid).children(recursive=True)
    with suppress(OSError, subprocess.TimeoutExpired):
        subprocess.run(
            [CONTROL], input=b"quit\n", env=environ, timeout=END_SECONDS, start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        daemon.wait(END_SECONDS)
    daemon.terminate()
    with suppress(subprocess.TimeoutExpired):
        daemon.wait(END_SECONDS)
    daemon.kill()
    daemon.wait()
    for server in started:
        with suppress(psutil.NoSuchProcess):
            server.kill()
