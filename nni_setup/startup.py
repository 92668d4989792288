"""Run at every start of this environment's Python, through startup.pth, which `make env` installs.

NNI's manager is a Node program that inherits the environment of `nnictl`, itself a Python program of this
environment. So what is set here reaches plain `nnictl create`, `resume` and `view`, and their trials. Imports
are `os` and `sys` only, because every start of Python pays for them.
"""

import os
import sys
from collections.abc import MutableMapping, Sequence

PRELOAD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "preload.js")


def node_option(preload: str) -> str:
    """The NODE_OPTIONS word that loads `preload`, quoted as Node reads it (the path may hold anything)."""
    return '--require="' + preload.replace("\\", "\\\\").replace('"', '\\"') + '"'


def prepare(environ: MutableMapping[str, str], prefix: str, preload: str = PRELOAD) -> None:
    """Set in `environ` what NNI and its trials need; what the user has set is kept.

    PATH starts with `prefix`/bin, because a trial is started as `python`. NODE_OPTIONS is extended by the
    preload if that file exists: Node does not start if a file that it must load is missing.
    """
    programs = os.path.join(prefix, "bin")
    if os.path.isdir(programs):
        others = [p for p in environ.get("PATH", os.defpath).split(os.pathsep) if p != programs]
        environ["PATH"] = os.pathsep.join([programs, *others])
    option = node_option(preload)
    options = environ.get("NODE_OPTIONS", "")
    if option not in options and os.path.isfile(preload):
        environ["NODE_OPTIONS"] = f"{options} {option}".strip()
    if any(name.lower() in ("http_proxy", "all_proxy") for name in environ):
        # nnictl asks its manager over HTTP; a proxy can't reach this machine's loopback.
        for name in ("no_proxy", "NO_PROXY"):
            hosts = [host for host in environ.get(name, "").split(",") if host]
            environ[name] = ",".join(dict.fromkeys([*hosts, "localhost", "127.0.0.1"]))
    environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # it asks the network at import otherwise


def silence(command: Sequence[str]) -> None:
    """Hide the warning of pkg_resources, which nnictl imports, that it will be removed; the pins keep it."""
    if "nnictl" in map(os.path.basename, command) or "tuners.nnictl" in command:
        import warnings

        warnings.filterwarnings("ignore", "pkg_resources is deprecated")


prepare(os.environ, sys.prefix)
silence(sys.orig_argv)
