"""Ports of this machine for NNI's page: which are free."""

import socket

DEFAULT = 8080  # nnictl's default


def taken(port: int) -> bool:
    """Whether something on this machine listens on `port`, at any address."""
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        try:
            with socket.socket(family) as probe:
                probe.settimeout(1)
                if probe.connect_ex((address, port)) == 0:
                    return True
        except OSError:
            continue
    return False


def free_port(start: int = DEFAULT) -> int:
    """The first free port from `start` on."""
    return next(port for port in range(start, 65536) if not taken(port))


def any_port() -> int:
    """A free port, chosen by the system, far from those that people choose."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def port_errors(port: int | None) -> list[str]:
    if port is None:
        return []
    if not 1024 <= port < 65536:
        return [f"--port {port}: must be between 1024 and 65535"]
    if taken(port):
        return [f"--port {port}: is in use; {free_port(port + 1)} is free (without --port, one is chosen)"]
    return []
