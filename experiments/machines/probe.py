"""What decides whether a machine can run the trials, as facts of the machine that this runs on.

`python -m experiments.machines.probe` in the project's folder there reads an Order as JSON, prints the facts.
"""

import hashlib
import json
import os
import platform
import shutil
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from common.errors import UsageError, errors_of
from common.files import sha256_of
from common.machine import PROJECT, cores
from dataset.fingerprint import fingerprint
from experiments.checks.services import gpu_count
from trial.models.weights import locate
from trial.run_folder.origin import versions

TEMPORARY = "/tmp"  # below it NNI has its trials, on every machine
CODE = ("common", "dataset", "trial")  # what a trial imports
LOCKS = ("requirements.lock", "requirements-no-deps.lock")


def facts(data: str, networks: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """`data`: folder of the photos; `networks`: (name, source of weights) of those that are trained.

    {"code", "lock": hashes of the project's; "versions": {package: version}; "data": the photos' fingerprint,
    None if they are missing; "weights": what is missing; "gpus": their number; "free": bytes where NNI has
    its trials; "cores"; "rsync": whether it is there; "network": the same on machines that share their
    loopback; "time": seconds since 1970}.
    """
    try:
        photos = fingerprint(Path(data))
    except UsageError:
        photos = None
    missing = [error for name, source in networks for error in errors_of(locate, name, source)]
    return {
        "code": _hash(path for room in CODE for path in (PROJECT / room).rglob("*") if _is_code(path)),
        "lock": _hash(PROJECT / name for name in LOCKS),
        "versions": versions(),
        "data": photos,
        "weights": list(dict.fromkeys(missing)),
        "gpus": gpu_count(),
        "free": shutil.disk_usage(TEMPORARY).free,
        "cores": cores(),
        "rsync": shutil.which("rsync") is not None,
        "network": network(),
        "time": time.time(),
    }


def _is_code(path: Path) -> bool:
    return path.suffix in (".py", ".json", ".csv") and path.is_file()


def _hash(files: Iterable[Path]) -> str:
    """A hash of the files' names and contents."""
    lines = [f"{file.relative_to(PROJECT)}\t{sha256_of(file) if file.is_file() else ''}" for file in files]
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def network() -> str:
    """The running system and its network; containers on one system may have networks of their own."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/net')}"
    except OSError:
        return platform.node()


if __name__ == "__main__":
    order = json.load(sys.stdin)
    print(json.dumps(facts(order["data"], order["networks"])))
