"""Check where trials run: a YAML's trainingService and the GPUs that it asks for."""

import re
import shutil
import subprocess
from collections.abc import Mapping
from typing import Any

from common.errors import unknown
from common.kinds import is_integer
from common.nni_yaml import IN_SERVICE, SERVICE

OTHERS = ("openpai", "aml", "dlc", "kubeflow", "frameworkcontroller", "adl", "hybrid")
LOCAL = "trainingService: {platform: local}"


def service_errors(service: Any) -> list[str]:
    """Errors in `trainingService`, apart from its GPUs."""
    if isinstance(service, list):
        return [f"trainingService: a list (NNI's hybrid mode) is not supported here; write {LOCAL}"]
    if not isinstance(service, Mapping):
        return [f"trainingService: {service!r} is not a mapping; write {LOCAL}"]
    platform = service.get("platform")
    if platform == "remote":
        return [f"trainingService.platform: remote: write {LOCAL}, and list the machines in --machines"]
    if platform in OTHERS:
        return [
            f"trainingService.platform: {platform}: trials run on this machine (local), or on those "
            "that --machines lists: elsewhere their run folders, photos and weights would be missing"
        ]
    errors = []
    if platform is None:
        errors.append(f"trainingService.platform: is missing; write {LOCAL}")
    elif platform != "local":
        errors.append(f"trainingService.platform: {unknown('platform', platform, ('local',))}")
    for key in service:
        if key in IN_SERVICE:
            errors.append(f"trainingService.{key}: belongs at the top of the YAML")
        elif key not in SERVICE:
            errors.append(f"trainingService: {unknown('key', key, SERVICE)}")
    for key in ("useActiveGpu", "reuseMode"):
        if service.get(key) is not None and not isinstance(service[key], bool):
            errors.append(f"trainingService.{key}: {service[key]!r} is not true or false")
    if service.get("reuseMode") is True:
        errors.append("trainingService.reuseMode: true moves trials out of their run folders; leave it out")
    return errors


def gpu_errors(config: Mapping[str, Any], present: bool) -> list[str]:
    """Errors in the GPUs that a YAML asks for; with `present`, GPUs that this machine lacks are errors,
    too."""
    service = config.get("trainingService")
    service = service if isinstance(service, Mapping) else {}
    errors: list[str] = []
    number = service.get("trialGpuNumber", config.get("trialGpuNumber"))
    if "trialGpuNumber" in service and not is_integer(number, 0):
        errors.append(f"trainingService.trialGpuNumber: {number!r} is not an integer, 0 or more")
    wanted = number if is_integer(number, 0) else 0
    per_gpu = service.get("maxTrialNumberPerGpu", 1)
    if not is_integer(per_gpu, 1):
        errors.append(f"trainingService.maxTrialNumberPerGpu: {per_gpu!r} is not an integer, 1 or more")
    elif per_gpu != 1 and not wanted:
        errors.append("trainingService.maxTrialNumberPerGpu: has no effect without trialGpuNumber")
    if wanted and service.get("useActiveGpu") is None:
        errors.append(
            "trainingService.useActiveGpu: is needed with trialGpuNumber: true also takes GPUs on which "
            "other programs (a desktop) run, false only idle ones"
        )
    indices = {
        "trainingService.gpuIndices": service.get("gpuIndices"),
        "tunerGpuIndices": config.get("tunerGpuIndices"),
    }
    highest, named = -1, []
    for key, given in indices.items():
        if given is None:
            continue
        read = gpu_indices(given)
        if read is None:
            errors.append(f"{key}: {given!r} is not a list of GPU numbers such as [0, 1], each once")
            continue
        named.append(f"{key}: {given}")
        highest = max(highest, *read)
        if key != "tunerGpuIndices" and len(read) < wanted:
            errors.append(f"{key}: {len(read)} of them can't hold a trial of trialGpuNumber: {wanted}")
    if wanted:
        named.append(f"trialGpuNumber: {wanted}")
    if service.get("useActiveGpu") is True:
        named.append("useActiveGpu: true")
    if named and present and not errors:
        found = gpu_count()
        if not found:
            errors.append(
                f"{', '.join(named)}: NNI finds no GPU here (it asks nvidia-smi), so no trial would start; "
                "leave them out"
            )
        elif wanted > found or highest >= found:
            errors.append(
                f"{', '.join(named)}: there {'is 1 GPU' if found == 1 else f'are {found} GPUs'} here, "
                "counted from 0"
            )
    return errors


def gpu_count() -> int:
    """The number of GPUs that nvidia-smi lists, as NNI counts them."""
    if shutil.which("nvidia-smi") is None:
        return 0
    try:
        output = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=20).stdout
    except (OSError, subprocess.TimeoutExpired):
        return 0
    return len(re.findall(r"^GPU \d+:", output, re.MULTILINE))


def gpu_indices(given: Any) -> list[int] | None:
    """GPU indices as NNI reads them: a number, a list of numbers, or '0,1'; None for anything else."""
    if isinstance(given, str):
        given = [int(word) if word.strip().isdecimal() else word for word in given.split(",")]
    read = given if isinstance(given, list) else [given]
    good = bool(read) and all(is_integer(number, 0) for number in read) and len(set(read)) == len(read)
    return read if good else None
