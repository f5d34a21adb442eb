"""Free ports on this machine, for servers that others must find again.

They are taken below the range from which the system gives ports to clients: otherwise a client that knocks at a
stopped server again and again may be given that very port, connect to itself, and keep the server from coming back.
"""

import socket
from itertools import chain
from os import getpid

_FIRST, _LAST = 20_000, 30_000


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Tell whether a server could listen there now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_ports(count: int) -> tuple[int, ...]:
    """Find so many free ports; processes begin their search at different places, so they seldom meet."""
    start = _FIRST + getpid() * 7_919 % (_LAST - _FIRST)
    candidates = chain(range(start, _LAST), range(_FIRST, start))
    found = []
    for port in candidates:
        if is_free(port):
            found.append(port)
        if len(found) == count:
            return tuple(found)
    raise OSError(f"no {count} free ports between {_FIRST} and {_LAST}")
