"""`python -m trial weights`: download the pretrained weights that trials need, once, before they start."""

import logging
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from common.errors import UsageError, first_line
from common.log import output_of
from common.nni_yaml import read_experiment, split_command
from trial.catalogue import model_fields, plain, read_model
from trial.commands.arguments import parse_arguments
from trial.config import TrialConfig
from trial.models.repositories import CONFIG, Repository, repository_of
from trial.models.tensors import write_tensors
from trial.models.weights import (
    BY_SET,
    HSE_FACERES,
    WITHOUT_INTERNET,
    fetched_path,
    full_name,
    has_weights,
    network_of,
    no_weights_message,
    pinned,
    with_sources,
)

output = output_of(__name__)
logger = logging.getLogger(__name__)
REACH_SECONDS = 10  # how long to wait for a server's first answer
ANY_SIZE = (224, 224)  # that a network which takes any size is built for, to see whether it can be


def fetch_all(names: list[str]) -> None:
    """Fetch the weights of each network and print their path.

    UsageError for unknown names and networks without pretrained weights, before the first download. A server
    that does not answer is asked once, whatever the number of names. If files are missing at the end, exit
    code 1, after the log has named all of them and what to do.
    """
    errors: list[str] = []
    names = list(dict.fromkeys(member for name in names for member in str(name).split("+")))
    for name in names:
        before = len(errors)
        read_model(name, errors)
        if len(errors) == before and not has_weights(name):
            errors.append(f"{no_weights_message(name)}; leave it out, its trials need weights=none")
    if not names:
        errors.append("nothing to fetch: give names of networks, or --experiment YAML with weights=hub")
    if errors:
        raise UsageError(errors)
    addresses = {
        name: _address(name)
        for name in names
        if not fetched_path(name).is_file() and not _is_hse_faceres(name)
    }
    silent = _without_answer(addresses.values())
    failed: dict[str, str] = {}
    unasked: list[str] = []
    for name in names:
        why = silent.get(_server(addresses[name])) if name in addresses else None
        if why and not _is_cached(name):
            failed[name] = why
            unasked.append(name)
            continue
        try:
            output.info(_fetch(name))
        except UsageError as error:
            failed[name] = str(error)
        except Exception as error:
            failed[name] = f"the download failed ({type(error).__name__}: {first_line(error)})"
            silent |= _without_answer(addresses.values())  # is it this name alone, or has the network gone?
    if failed:
        logger.error("\n".join(_report(failed, unasked)))
        raise SystemExit(1)


def _fetch(model: str) -> Path:
    """Download the weights of `model` into `weights/`, unless they are there, through timm where it knows
    their source; their path."""
    import timm

    import trial.models.other_networks  # noqa: F401 - registers them with timm

    path = fetched_path(model)
    path.parent.mkdir(exist_ok=True)
    if path.is_file():
        return path
    if repository := repository_of(model):
        return _fetch_repository(model, repository, path.parent)
    if _is_hse_faceres(model):
        from trial.models import hse_faceres

        hse_faceres.fetch(path)
    else:
        network = timm.create_model(full_name(model), pretrained=True)
        write_tensors(path, network.state_dict())
    return path


def _fetch_repository(model: str, repository: Repository, folder: Path) -> Path:
    """Download a repository's config.json and weights into `folder`, and build the network once as trials do;
    the path of its weights. UsageError if trials could not use it; its weights are then not kept."""
    from trial.models.factory import build
    from trial.models.heads import Head

    commit = repository.fetch_config(folder).parent.name
    size = network_of(model).fixed or ANY_SIZE  # refuses another library's before its weights are downloaded
    licence = repository.fetch_weights(folder, commit)
    path = fetched_path(model)
    try:
        build(model, "hub", Head(outputs=2), 2, size)
    except Exception:
        path.unlink()
        raise
    stated = f"licence {licence}" if licence else "its card states no licence"
    logger.info(f"{pinned(model)}: {stated}; competitions may forbid outside data")
    return path


def _is_hse_faceres(model: str) -> bool:
    return plain(model) == HSE_FACERES


def _report(failed: Mapping[str, str], unasked: list[str]) -> list[str]:
    """Lines that say why, which files are missing, and what to do. `unasked`: their server did not answer."""
    reasons: dict[str, list[str]] = {}
    for name, why in failed.items():
        reasons.setdefault(why, []).append(name)
    lines = [f"{', '.join(names)}: {why}" for why, names in reasons.items()]
    paths = dict.fromkeys(fetched_path(name) for name in failed)
    lines.append(f"missing: {', '.join(f'{path.parent.name}/{path.name}' for path in paths)}")
    if unasked:
        command = f"python -m trial weights {' '.join(unasked)}"
        lines.append(f"on a machine with internet: {command}; then copy weights/ here")
    return [*lines, f"{WITHOUT_INTERNET}; in an experiment: {BY_SET}"]


def _address(name: str) -> str:
    """A URL on the server from which timm downloads these weights."""
    import timm
    from huggingface_hub import hf_hub_url

    import trial.models.other_networks  # noqa: F401 - registers them with timm

    if own := repository_of(name):
        return hf_hub_url(own.id, CONFIG, revision=own.revision)
    config: Any = timm.models.get_pretrained_cfg(full_name(name))
    repository = (config.hf_hub_id or "").partition("@")[0]
    return hf_hub_url(repository, CONFIG) if repository else config.url


def _server(address: str) -> str:
    """'https://host:port' of a URL."""
    return "/".join(address.split("/", 3)[:3])


def _without_answer(addresses: Iterable[str]) -> dict[str, str]:
    """{server: reason} of the servers that do not answer within REACH_SECONDS; all are asked at once.

    The downloads themselves would try for 46 s a file (Hugging Face's), or without a time limit (torch's).
    """
    silent: dict[str, str] = {}

    def ask(server: str, address: str) -> None:
        try:
            if (status := _status(address)) >= 500:
                silent[server] = f"{server} answers with an error ({status})"
        except Exception as error:
            silent[server] = f"{server} can't be reached ({type(error).__name__}: {error})"

    # In threads: a request's own limit covers neither the look-up of the name nor the host's other addresses.
    threads = {
        server: Thread(target=ask, args=(server, address), daemon=True)
        for server, address in {_server(address): address for address in addresses}.items()
    }
    end = time.monotonic() + REACH_SECONDS
    for thread in threads.values():
        thread.start()
    for server, thread in threads.items():
        thread.join(max(0, end - time.monotonic()))
        if thread.is_alive():
            silent[server] = f"{server} gave no answer within {REACH_SECONDS} seconds"
    return silent


def _status(address: str) -> int:
    """The HTTP status of a HEAD request by the same client, with the same proxy, as the download."""
    from huggingface_hub import constants, get_session

    if address.startswith(constants.ENDPOINT):
        return get_session().head(address, timeout=REACH_SECONDS).status_code
    request = Request(address, method="HEAD", headers={"User-Agent": "torch.hub"})
    try:
        with urlopen(request, timeout=REACH_SECONDS) as answer:
            return answer.status
    except HTTPError as error:
        return error.code


def _is_cached(name: str) -> bool:
    """Whether Hugging Face's or torch's cache on this machine has the file, so that no server is needed."""
    import timm
    import torch
    from huggingface_hub import try_to_load_from_cache

    if repository_of(name):  # fetched into weights/ itself
        return fetched_path(name).is_file()
    config: Any = timm.models.get_pretrained_cfg(full_name(name))
    if not config.hf_hub_id:
        return Path(torch.hub.get_dir(), "checkpoints", Path(config.url).name).is_file()
    repository, _, revision = config.hf_hub_id.partition("@")
    bin_or_other = config.hf_hub_filename or "pytorch_model.bin"
    files = ("model.safetensors", "open_clip_model.safetensors", bin_or_other)
    found = (try_to_load_from_cache(repository, file, revision=revision or None) for file in files)
    return any(isinstance(path, str) for path in found)


def wanted_by(experiment: Path) -> list[str]:
    """The networks of an experiment whose weights come from the hub, and repositories, which are described
    there."""
    wanted = [
        name
        for model, sources in named_by(experiment)
        for given in sources
        for name, source in with_sources(model, str(given))
        if source == "hub" or repository_of(name)
    ]
    return list(dict.fromkeys(wanted))


def named_by(experiment: Path) -> list[tuple[str, list[str]]]:
    """(network, sources of its weights) of an experiment's command and search space."""
    config, space, errors = read_experiment(experiment)
    fixed: dict[str, Any] = {}
    try:
        fixed = parse_arguments(split_command(str((config or {}).get("trialCommand", "")))[1])
    except (ValueError, UsageError) as error:
        errors.append(f"trialCommand: {error}")
    if errors:
        raise UsageError(
            f"{experiment}: can't be read as an experiment ({errors[0]}); see python -m experiments check"
        )
    space = space or {}
    models = _options(space.get("model", fixed.get("model", TrialConfig.model)))
    sources = _options(space.get("weights", fixed.get("weights", TrialConfig.weights)))
    named = []
    for fields in map(model_fields, models):
        own = _options(fields["weights"]) if "weights" in fields else sources
        named.append((fields["model"], own))
    return named


def _options(given: Any) -> list[Any]:
    """The values that a field's entry in a search space, or its fixed value, can take."""
    return given["_value"] if isinstance(given, dict) and "_value" in given else [given]
