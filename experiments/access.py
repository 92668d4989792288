"""Who may use a page that a command serves on 127.0.0.1: as nni_setup/access.js decides it for NNI's."""

import os
import re
import socket
import sys
from pathlib import Path

LOCAL = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:\d+)?", re.IGNORECASE)  # any port: of an SSH tunnel
LOOKS = 3  # at the table of connections: while it changes, a row may be missing
# Where Linux lists connections, and what is before an IPv4 address there.
TABLES = {"/proc/net/tcp": "", "/proc/net/tcp6": "0000000000000000FFFF0000"}


def refusal(host: str, origin: str | None) -> str:
    """Why a request with these headers is refused: a foreign name led to this machine, or the page of another
    site in the user's browser sent it. '' if it is not."""
    if not LOCAL.fullmatch(host):
        return f"it asks for {host!r}, not for localhost or 127.0.0.1"
    if origin is not None and origin != f"http://{host}":
        return f"it comes from another page, {origin!r}"
    return ""


def is_others(connection: socket.socket) -> bool:
    """Whether the other end of a connection over 127.0.0.1 may be another user's of this machine, root
    excepted. Only Linux tells whose an open one is; one that is closed already has no owner any more."""
    if sys.platform != "linux":
        return False
    try:
        their, our = _hex(*connection.getpeername()[:2]), _hex(*connection.getsockname()[:2])
    except OSError:  # closed
        return True
    owners = (_owner(their, our) for _ in range(LOOKS))
    user, inode = next((one for one in owners if one), (-1, 0))
    return inode == 0 or user not in (0, os.getuid())


def _owner(their: str, our: str) -> tuple[int, int] | None:
    """(user, inode) of the other end of a connection, inode 0 if it is closed; None if it is not listed."""
    for table, before in TABLES.items():
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:  # no IPv6, or no more open files
            continue
        for line in lines:
            _, here, there, _, _, _, _, user, _, inode, *_ = line.split()
            if (here, there) == (before + their, before + our):
                return int(user), int(inode)
    return None


def _hex(address: str, port: int) -> str:
    """An IPv4 address and port as Linux writes them on x86 and ARM: '0100007F:1F90' for 127.0.0.1:8080."""
    return f"{socket.inet_aton(address)[::-1].hex()}:{port:04x}".upper()
