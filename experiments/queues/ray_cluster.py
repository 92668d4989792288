"""Jobs of a Ray cluster. Each is a detached actor, which runs the trial as a process on its node.

Why an actor, and no Ray job: a Ray job that waits for resources fails after 15 minutes, a waiting one can't
be cancelled before it begins, and it needs Ray's dashboard. An actor waits as long as it must. A detached one
outlives the process that has made it, and the next one finds it by its name.

    python -m experiments.queues.ray_cluster [ADDRESS]    # as JSON: what its nodes have, or an error
"""

import importlib.util
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from common.errors import UsageError, first_line, unknown
from common.kinds import is_number
from common.machine import PROJECT
from common.process import as_exit_code
from experiments.queues.job import Job, Queue

if TYPE_CHECKING:
    from ray.actor import ActorHandle

NAMESPACE = "trials"  # of the actors' names
OPTIONS = ("resources", "accelerator_type")  # of ray.remote
ELSEWHERE = {"num_cpus": "write cpus", "num_gpus": "write gpus", "memory": "write memory"}
ENVIRON = {  # Ray's defaults: 20 tries of 40 s each at an address that does not answer; a report on its use
    "RAY_NUM_REDIS_GET_RETRIES": "1", "RAY_py_gcs_connect_timeout_s": "10", "RAY_USAGE_STATS_ENABLED": "0",
}  # fmt: skip
MISSING = "executor: ray: Ray is not installed: pip install -e '.[ray]', with the version of the cluster"
START_SECONDS = 1.0  # in which an actor that runs answers
KILL_SECONDS = 30.0  # from SIGTERM to SIGKILL


class RayJob(Job):
    """A job of Ray. Ray does not start it again, as NNI does (experiments/submit.py)."""

    keys = frozenset({"address"})
    ask_seconds: ClassVar[float] = 2.0

    def __init__(self, folder: Path, id: str, actor: "ActorHandle | None"):
        super().__init__(id, *(folder / f"{id}.{what}" for what in ("out", "err", "code")))
        self._actor = actor

    @classmethod
    def submit(
        cls, queue: Queue, folder: Path, name: str, command: Sequence[str], environ: Mapping[str, str]
    ) -> Self:
        nodes = _connect(queue.address)
        for error in node_errors(queue, nodes):  # it may come back, as after a reboot: the job waits
            print(error, file=sys.stderr)
        import ray

        job = cls(folder, f"{name}-{secrets.token_hex(4)}", None)
        # By value: the Python that Ray uses on the nodes need not know this project.
        ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
        actor = ray.remote(Runner).options(
            name=job.id, namespace=NAMESPACE, lifetime="detached", num_cpus=queue.cpus, num_gpus=queue.gpus,
            memory=_bytes(queue), **queue.options,
        )  # fmt: skip
        if not queue.gpus:  # a node's GPUs are hidden from those that have asked for some
            environ = {**environ, "CUDA_VISIBLE_DEVICES": ""}
        files = [str(path.absolute()) for path in (job.stdout, job.stderr, job.result)]
        job._actor = actor.remote(list(command), dict(environ), str(Path.cwd()), files)
        return job

    @classmethod
    def left(cls, queue: Queue, folder: Path, id: str) -> Self:
        _connect(queue.address)
        job = cls(folder, id, None)
        job._is_there()
        return job

    def cancel(self) -> None:
        if self._actor is None:
            return
        import ray

        asked = self._actor.stop.remote(KILL_SECONDS)
        if not ray.wait([asked], timeout=START_SECONDS)[0]:  # it waits for its turn, or begins
            ray.kill(self._actor)

    def _is_there(self) -> bool:
        import ray

        try:
            self._actor = ray.get_actor(self.id, NAMESPACE)
        except ValueError:  # no living actor has this name
            return False
        return True

    def _result(self) -> int:
        return as_exit_code(int(self.result.read_text()))

    def _why(self) -> str:
        if self._actor is None:
            return ""
        import ray

        with suppress(ray.exceptions.GetTimeoutError):
            try:
                ray.get(self._actor.stop.remote(KILL_SECONDS), timeout=START_SECONDS)
            except ray.exceptions.RayActorError as error:
                return str(error).strip().rpartition("\n")[2].strip()[:400]
        return ""

    @staticmethod
    def errors(queue: Queue) -> list[str]:
        """The nodes are asked for in a process of its own: Ray changes signals and environment of its own."""
        if importlib.util.find_spec("ray") is None:
            return [MISSING]
        words = [sys.executable, "-m", __name__, *([queue.address] if queue.address else [])]
        try:
            asked = subprocess.run(words, cwd=PROJECT, capture_output=True, text=True, timeout=120)
        except subprocess.TimeoutExpired:
            return [f"address: the Ray cluster {_where(queue.address)} gave no answer in two minutes"]
        try:
            nodes = json.loads(asked.stdout.strip().rpartition("\n")[2])
        except ValueError:
            why = asked.stderr.strip().rpartition("\n")[2]
            return [f"address: the Ray cluster {_where(queue.address)} could not be asked: {why}"]
        return [nodes] if isinstance(nodes, str) else node_errors(queue, nodes)

    @staticmethod
    def option_errors(options: Mapping[str, Any]) -> list[str]:
        errors = [
            f"options.{key}: {ELSEWHERE[key]}" if key in ELSEWHERE
            else f"options: {unknown('option', key, OPTIONS)}"
            for key in options if key not in OPTIONS
        ]  # fmt: skip
        resources = options.get("resources", {})
        if not isinstance(resources, Mapping) or not all(_is_amount(n) for n in resources.values()):
            errors.append("options.resources: is not a mapping of custom resources to numbers above 0")
        if not isinstance(options.get("accelerator_type", ""), str):
            errors.append("options.accelerator_type: is not a text, Ray's name of a GPU (A100)")
        return errors


class Runner:
    """The actor. It runs a trial beside itself; Ray ends both together."""

    def __init__(self, command: list[str], environ: dict[str, str], cwd: str, files: list[str]):
        stdout, stderr, self.result = files
        with open(stdout, "ab") as out, open(stderr, "ab") as errors:
            self.trial = subprocess.Popen(
                command, env={**os.environ, **environ}, cwd=cwd, stdout=out, stderr=errors
            )
        threading.Thread(target=self.leave, daemon=True).start()

    def leave(self) -> None:
        """Wait for the trial, write its exit code and give the node's resources back."""
        import ray

        code, part = self.trial.wait(), f"{self.result}.part"
        with open(part, "w") as file:
            file.write(str(code))
        os.replace(part, self.result)
        ray.kill(ray.get_runtime_context().current_actor)

    def stop(self, seconds: float) -> None:
        """End the trial by SIGTERM, by SIGKILL if that takes longer than `seconds`."""
        self.trial.terminate()
        late = threading.Timer(seconds, self.trial.kill)
        late.daemon = True
        late.start()


def node_errors(queue: Queue, nodes: Sequence[Mapping[str, float]]) -> list[str]:
    """[That no node has what a job asks for], so that it would wait for ever; [] if one has. `nodes`: what
    each has, free or not, as Ray says it."""
    kind = queue.options.get("accelerator_type")
    wanted = {
        "CPU": queue.cpus, "GPU": queue.gpus, "memory": _bytes(queue) or 0,
        **queue.options.get("resources", {}), **({f"accelerator_type:{kind}": 1e-3} if kind else {}),
    }  # fmt: skip
    wanted = {name: amount for name, amount in wanted.items() if amount}
    if any(all(node.get(name, 0) >= amount for name, amount in wanted.items()) for node in nodes):
        return []
    has = sorted({_words({name: node.get(name, 0) for name in wanted}) for node in nodes})
    return [f"no node of the Ray cluster has {_words(wanted)}; its nodes have {' / '.join(has) or 'nothing'}"]


def _words(resources: Mapping[str, float]) -> str:
    return ", ".join(
        f"memory {amount / 2**30:.1f} GB" if name == "memory" else f"{name} {amount:g}"
        for name, amount in resources.items()
    )


def _bytes(queue: Queue) -> int | None:
    return round(queue.memory * 2**30) if queue.memory else None


def _is_amount(value: Any) -> bool:
    return is_number(value) and value > 0


def _where(address: str | None) -> str:
    given = address or os.environ.get("RAY_ADDRESS")
    return f"at {given}" if given else "on this machine"


def _connect(address: str | None) -> list[dict[str, float]]:
    """Make this process one of the cluster's; return what each of the living nodes has."""
    if importlib.util.find_spec("ray") is None:
        raise UsageError(MISSING)
    for name, value in ENVIRON.items():
        os.environ.setdefault(name, value)
    import ray

    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        ray.init(address or "auto", namespace=NAMESPACE, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, RuntimeError, ValueError, ImportError) as error:
        raise UsageError(
            f"address: no Ray cluster answers {_where(address)}, or not to this machine: {first_line(error)}"
        ) from None
    finally:
        for number, handler in handlers.items():  # Ray has put its own there, which end this process
            signal.signal(number, handler)
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def main() -> None:
    try:
        said: Any = _connect(sys.argv[1] if sys.argv[1:] else None)
    except UsageError as error:
        said = str(error)
    print(json.dumps(said))


if __name__ == "__main__":
    main()
