"""Load a state dict into the network that it is meant for, and refuse one that does not fit.

timm loads the tensors whose names it knows, leaves the rest of the network random, and only logs that.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import contextmanager
from functools import cache
from typing import Any

from timm.models import _builder as builder
from torch import Tensor, nn

from common.errors import UsageError
from trial.models.heads import last_layers, last_names

State = Mapping[str, Tensor]
STATISTICS = ("running_mean", "running_var")
USUAL = {  # words that training programs put before a network's own names
    "module", "_orig_mod", "model", "backbone", "encoder", "net", "network", "base_model", "base_encoder",
    "feature_extractor", "student", "teacher", "ema", "ema_model", "model_ema",
}  # fmt: skip
DEEPEST = 4  # words of a prefix
TRIED = 4  # prefixes

logger = logging.getLogger(__name__)
logging.getLogger(builder.__name__).setLevel(logging.ERROR)  # its warnings list every unused name


class _Mismatch(Exception):
    """A state dict doesn't fit. `loaded`: how many tensors of the network it has all the same; `own`: the
    names of the network's tensors."""

    def __init__(self, message: str, loaded: int = 0, own: Set[str] = frozenset()):
        super().__init__(message)
        self.loaded, self.own = loaded, own


def with_weights(create: Callable[[State], Any], state: State, source: str, name: str) -> Any:
    """`create(state)`: a network of timm's with all its parameters and running statistics from `state`,
    except those of its last layers.

    A prefix before the network's own names is stripped, which is logged once. `source` and `name` are for
    messages. UsageError says which tensors are missing, have another shape, or are left over inside the
    network's own layers.
    """
    try:
        return _created(create, state)
    except _Mismatch as error:
        nearest, prefix = error, ""
    for candidate in _prefixes(state, nearest.own):
        stripped = {k.removeprefix(candidate): t for k, t in state.items() if k.startswith(candidate)}
        try:
            network = _created(create, stripped)
        except _Mismatch as error:
            if error.loaded > nearest.loaded:
                nearest, prefix = error, candidate
        else:
            what = f"the names of {len(stripped)} tensors for {name}"
            _log_once(f"{source}: '{candidate}' was stripped from {what}")
            return network
    without = f" (without the prefix '{prefix}')" if prefix else ""
    raise UsageError(f"{source} don't fit {name}: {nearest}{without}")


def _created(create: Callable[[State], Any], state: State) -> Any:
    with _loads() as loads:
        try:
            network, error = create(dict(state)), None
        except Exception as raised:  # each family's reader of state dicts fails with its own exceptions
            network, error = None, raised
    if loads:
        _check(*loads[-1])
    if network is None:
        why = " ".join(str(error).split())[:200]
        raise _Mismatch(f"timm can't read its tensors ({type(error).__name__}: {why})")
    if not loads:
        raise _Mismatch("timm loaded none of its tensors")
    return network


@contextmanager
def _loads() -> Iterator[list[tuple[Any, dict[str, Tensor]]]]:
    """Record (module, state dict) of every call of load_state_dict in this context, also of those that raise.

    A network that is built without a state dict stays random: a hybrid's backbone would ask the hub for one.
    """
    original, load_pretrained = nn.Module.load_state_dict, builder.load_pretrained
    loads: list[tuple[Any, dict[str, Tensor]]] = []

    def load_given(network: Any, pretrained_cfg: dict[str, Any], **named: Any) -> None:
        if pretrained_cfg.get("state_dict"):
            load_pretrained(network, pretrained_cfg=pretrained_cfg, **named)

    def recording(self: nn.Module, state_dict: Mapping[str, Any], *more: Any, **named: Any) -> Any:
        loads.append((self, dict(state_dict)))
        return original(self, state_dict, *more, **named)

    nn.Module.load_state_dict = recording  # type: ignore[method-assign]
    builder.load_pretrained = load_given  # type: ignore[assignment]
    try:
        yield loads
    finally:
        nn.Module.load_state_dict = original  # type: ignore[method-assign]
        builder.load_pretrained = load_pretrained


def _check(network: Any, given: State) -> None:
    """Raise _Mismatch unless `given` is the whole network except its head, and nothing else."""
    own = network.state_dict()
    needed = _needed(network)
    wrong = sorted(key for key in own.keys() & given.keys() if given[key].shape != own[key].shape)
    integers = sorted(key for key in needed & given.keys() if not given[key].is_floating_point())
    loaded = len((needed & given.keys()) - {*wrong, *integers})
    some = f"of its {len(needed)} tensors"
    suspect = "are they another network's?"
    if not loaded:
        theirs = f", the file's {min(given)}" if given else ""
        error = f"none {some} is in the file; the network's names are like {min(needed)}{theirs}"
    elif wrong:
        shapes = " instead of ".join(str(tuple(state[wrong[0]].shape)) for state in (given, own))
        error = f"{len(wrong)} {some} have another shape, such as {wrong[0]}: {shapes}; {suspect}"
        if network.pretrained_cfg.get("fixed_input_size"):
            error += " Or for another image_size, and can't be resampled?"
    elif integers:
        kind = str(given[integers[0]].dtype).removeprefix("torch.")
        error = f"{len(integers)} {some} are not floating-point numbers, such as {integers[0]}: {kind}"
    elif missing := sorted(needed - given.keys()):
        error = f"{len(missing)} {some} are missing, such as {missing[0]}; {suspect}"
    elif foreign := _foreign(network, needed, given.keys() - own.keys()):
        what = f"{len(foreign)} tensors that the network's layers lack, such as {foreign[0]}"
        error = f"the file has {what}; {suspect}"
    else:
        return
    raise _Mismatch(error, loaded, own.keys())


def _needed(network: Any) -> set[str]:
    """The names of all parameters except the last layers', and of running statistics.

    Other buffers (indices, masks, counters) follow from the network.
    """
    new = {id(parameter) for layer in last_layers(network) for parameter in layer.parameters()}
    learned = {name for name, parameter in network.named_parameters() if id(parameter) not in new}
    kept = network.state_dict().keys()
    return learned | {key for key in kept if key.rpartition(".")[2] in STATISTICS}


def _foreign(network: Any, needed: set[str], left_over: Set[str]) -> list[str]:
    """The parameters among `left_over` inside the network's own layers, as a deeper network's would be.

    Decoders, other towers and other heads lie outside: pretraining leaves those in a file.
    """
    layers = {key.partition(".")[0] for key in needed}
    heads = [(name.rpartition(".")[0] or name) + "." for name in last_names(network)]
    return sorted(
        key
        for key in left_over
        if key.partition(".")[0] in layers
        and key.rpartition(".")[2] in ("weight", "bias", *STATISTICS)
        and not key.startswith(tuple(heads))
    )


def _prefixes(keys: State, own: Set[str]) -> list[str]:
    """Prefixes that may stand before the network's names, likeliest first.

    Prefixes whose removal gives the most names in `own` come first, then those of USUAL words: timm also
    knows other names than `own`.
    """
    matching, usual = Counter[str](), Counter[str]()
    for key in keys:
        words = key.split(".")
        for n in range(1, min(len(words), DEEPEST + 1)):
            prefix = ".".join(words[:n]) + "."
            matching[prefix] += ".".join(words[n:]) in own
            usual[prefix] += all(word in USUAL for word in words[:n])
    likely = [prefix for prefix in matching if matching[prefix] or usual[prefix]]
    return sorted(likely, key=lambda prefix: (-matching[prefix], -usual[prefix], -len(prefix)))[:TRIED]


@cache
def _log_once(message: str) -> None:
    """Log a message once, though each fold builds its own network."""
    logger.info(message)
