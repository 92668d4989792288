"""A state dict and the network it is meant for: judged by what of it was loaded.

timm loads what it knows by name, leaves the rest of the network random, and says so in its log alone.
"""

import logging
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import contextmanager
from functools import cache
from typing import Any

from timm.models import _builder as builder
from torch import Tensor, nn

from common.errors import UsageError
from trial.models.heads import last_layers

State = Mapping[str, Tensor]
STATISTICS = ("running_mean", "running_var")
USUAL = {  # what training programs put before a network's own names
    "module", "_orig_mod", "model", "backbone", "encoder", "net", "network", "base_model", "base_encoder",
    "feature_extractor", "student", "teacher", "ema", "ema_model", "model_ema",
}  # fmt: skip
DEEPEST = 4  # words of a prefix
TRIED = 4  # prefixes

logging.getLogger(builder.__name__).setLevel(logging.ERROR)  # its warnings list every name left over


class _Fault(Exception):
    """`loaded`: how many of the network's tensors were given to it all the same; `own`: their names."""

    def __init__(self, words: str, loaded: int = 0, own: Set[str] = frozenset()):
        super().__init__(words)
        self.loaded, self.own = loaded, own


def with_weights(create: Callable[[State], Any], state: State, source: str, name: str) -> Any:
    """`create(state)`, a network of timm's with that state dict, if all but its last layers was loaded: every
    parameter, and the running statistics of normalisations. A prefix before the network's own names is
    stripped, and standard error says which.

    UsageError says what is lacking, has another shape, or is left over inside the network's own layers.
    """
    try:
        return _created(create, state)
    except _Fault as error:
        nearest, prefix = error, ""
    for candidate in _prefixes(state, nearest.own):
        stripped = {k.removeprefix(candidate): t for k, t in state.items() if k.startswith(candidate)}
        try:
            network = _created(create, stripped)
        except _Fault as error:
            if error.loaded > nearest.loaded:
                nearest, prefix = error, candidate
        else:
            _say(f"{source}: '{candidate}' was stripped from the names of {len(stripped)} tensors for {name}")
            return network
    without = f" (without the prefix '{prefix}')" if prefix else ""
    raise UsageError(f"{source} don't fit {name}: {nearest}{without}")


def _created(create: Callable[[State], Any], state: State) -> Any:
    with _loads() as loads:
        try:
            network, error = create(dict(state)), None
        except Exception as raised:  # each family's reader of state dicts fails in its own way
            network, error = None, raised
    if loads:
        _judge(*loads[-1])
    if network is None:
        why = " ".join(str(error).split())[:200]
        raise _Fault(f"timm can't read its tensors ({type(error).__name__}: {why})")
    if not loads:
        raise _Fault("timm loaded none of its tensors")
    return network


@contextmanager
def _loads() -> Iterator[list[tuple[Any, dict[str, Tensor]]]]:
    """(module, the tensors it was given) of every load_state_dict meanwhile, also of one that raises.

    Networks without a state dict of ours get no weights: a hybrid's backbone would ask the hub for its own.
    """
    original, load_pretrained = nn.Module.load_state_dict, builder.load_pretrained
    loads: list[tuple[Any, dict[str, Tensor]]] = []

    def only_ours(network: Any, pretrained_cfg: dict[str, Any], **named: Any) -> None:
        if pretrained_cfg.get("state_dict"):
            load_pretrained(network, pretrained_cfg=pretrained_cfg, **named)

    def recording(self: nn.Module, state_dict: Mapping[str, Any], *more: Any, **named: Any) -> Any:
        loads.append((self, dict(state_dict)))
        return original(self, state_dict, *more, **named)

    nn.Module.load_state_dict = recording  # type: ignore[method-assign]
    builder.load_pretrained = only_ours  # type: ignore[assignment]
    try:
        yield loads
    finally:
        nn.Module.load_state_dict = original  # type: ignore[method-assign]
        builder.load_pretrained = load_pretrained


def _judge(network: Any, given: State) -> None:
    """_Fault where `given` is not all of the network but its head, or is more than it."""
    own = network.state_dict()
    needed = _needed(network)
    wrong = sorted(key for key in own.keys() & given.keys() if given[key].shape != own[key].shape)
    whole = sorted(key for key in needed & given.keys() if not given[key].is_floating_point())
    loaded = len((needed & given.keys()) - {*wrong, *whole})
    some = f"of its {len(needed)} tensors"
    suspect = "are they another network's?"
    if not loaded:
        theirs = f", the file's {min(given)}" if given else ""
        error = f"none {some} is there; they are called {min(needed)} and the like{theirs}"
    elif wrong:
        shapes = " instead of ".join(str(tuple(state[wrong[0]].shape)) for state in (given, own))
        error = f"{len(wrong)} {some} have another shape, such as {wrong[0]}: {shapes}; {suspect}"
        if network.pretrained_cfg.get("fixed_input_size"):
            error += " Or for another image_size, and can't be resampled?"
    elif whole:
        kind = str(given[whole[0]].dtype).removeprefix("torch.")
        error = f"{len(whole)} {some} are no floating-point numbers, such as {whole[0]}: {kind}"
    elif lacking := sorted(needed - given.keys()):
        error = f"{len(lacking)} {some} are not there, such as {lacking[0]}; {suspect}"
    elif foreign := _foreign(network, needed, given.keys() - own.keys()):
        error = f"{len(foreign)} tensors more are there than its layers have, such as {foreign[0]}; {suspect}"
    else:
        return
    raise _Fault(error, loaded, own.keys())


def _needed(network: Any) -> set[str]:
    """The parameters below the last layers, and the statistics that belong to them. Other buffers (indices,
    masks, counters) follow from the network."""
    new = {id(parameter) for layer in last_layers(network) for parameter in layer.parameters()}
    learned = {name for name, parameter in network.named_parameters() if id(parameter) not in new}
    kept = network.state_dict().keys()
    return learned | {key for key in kept if key.rpartition(".")[2] in STATISTICS}


def _foreign(network: Any, needed: set[str], left_over: Set[str]) -> list[str]:
    """Weights among `left_over` that lie inside the network's own layers, as a deeper network's would.

    Decoders, other towers and other heads lie beside them: pretraining leaves those in a file.
    """
    layers = {key.partition(".")[0] for key in needed}
    names = network.pretrained_cfg["classifier"]
    heads = [(n.rpartition(".")[0] or n) + "." for n in ([names] if isinstance(names, str) else names)]
    return sorted(
        key
        for key in left_over
        if key.partition(".")[0] in layers
        and key.rpartition(".")[2] in ("weight", "bias", *STATISTICS)
        and not key.startswith(tuple(heads))
    )


def _prefixes(keys: State, own: Set[str]) -> list[str]:
    """What may stand before the network's names, the likeliest first: what leaves most of `own` names, else
    of USUAL words, as a file's names can be others that timm knows, too."""
    leaves, usual = Counter[str](), Counter[str]()
    for key in keys:
        words = key.split(".")
        for n in range(1, min(len(words), DEEPEST + 1)):
            prefix = ".".join(words[:n]) + "."
            leaves[prefix] += ".".join(words[n:]) in own
            usual[prefix] += all(word in USUAL for word in words[:n])
    likely = [prefix for prefix in leaves if leaves[prefix] or usual[prefix]]
    return sorted(likely, key=lambda prefix: (-leaves[prefix], -usual[prefix], -len(prefix)))[:TRIED]


@cache
def _say(line: str) -> None:
    """On standard error, once: each fold's network is built by itself."""
    print(line, file=sys.stderr, flush=True)
