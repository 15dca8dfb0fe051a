"""Where processes meet: the address of process 0, looked at before JAX is told of it.

JAX's runtime waits for minutes at an address where nobody is, and says little of it.
"""

from __future__ import annotations

import ipaddress
import math
import socket
import time

from pjc.diagnostics import PjcError
from pjc.reading import reason

_PAUSE = 0.2
"""Seconds from one try to connect to the next."""


START_TIMEOUT = 15
"""Seconds that processes wait for each other which were started by hand, with an address."""


class DistributedError(PjcError):
    """Processes that cannot work together; the text says why and what to do."""


def check(coordinator: str, listens: bool, deadline: float) -> None:
    """Raise DistributedError if processes cannot meet at ``coordinator``, as ``HOST:PORT``.

    Args:
        coordinator: the address of process 0.
        listens: whether this is process 0; the others wait for it.
        deadline: until when they do, as ``time.monotonic`` counts.
    """
    host, port = split(coordinator)
    if listens:
        _require_free(coordinator, loopback(coordinator) is not None)
    try:
        socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise DistributedError(
            f"--coordinator {coordinator}: {host} is no known host: {reason(error)}"
        ) from None
    if not listens:
        _wait_for(coordinator, deadline)


def split(coordinator: str) -> tuple[str, int]:
    """Return the host and the port of an address."""
    host, _, port = coordinator.rpartition(":")
    return host.strip("[]"), int(port)


def not_found(coordinator: str | None, processes: int | None) -> str:
    """Return what is said where not all processes came together."""
    if coordinator is None or processes is None:
        return "the processes of the cluster did not find each other"
    return (
        f"the {processes} processes did not find each other at {coordinator} within {START_TIMEOUT} s: each "
        f"is started once, with --process 0 to {processes - 1}, at about the same time, all with the same "
        "--coordinator and --processes"
    )


def loopback(coordinator: str | None) -> str | None:
    """Return where process 0 listens if all that is asked for is the loopback interface, else None."""
    host = (coordinator or "").rpartition(":")[0].strip("[]")
    try:
        local = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return None
    return coordinator if local else None


def left(deadline: float) -> int:
    """Return how many whole seconds are left, at least 1."""
    return max(1, math.ceil(deadline - time.monotonic()))


def _require_free(coordinator: str, local: bool) -> None:
    """Raise DistributedError if process 0 cannot listen at its port."""
    host, port = split(coordinator)
    every = "::" if socket.has_dualstack_ipv6() else ""
    where = host if local else every
    family = socket.AF_INET6 if ":" in where else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as tried:
        # As gRPC does, but alone: that shares its port with whoever allows it.
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((where, port))
            tried.listen(1)
        except OSError as error:
            raise DistributedError(
                f"process 0 cannot listen at {coordinator}: {reason(error)}; "
                "name another port with --coordinator, in all processes"
            ) from None


def _wait_for(coordinator: str, deadline: float) -> None:
    """Wait until process 0 listens; raise DistributedError if it has not at the deadline."""
    began = time.monotonic()
    why = ""
    while (rest := deadline - time.monotonic()) > 0:
        try:
            socket.create_connection(split(coordinator), timeout=rest).close()
            return
        except OSError as error:
            why = reason(error)
        time.sleep(_PAUSE)
    raise DistributedError(
        f"no process 0 answers at {coordinator} within {time.monotonic() - began:.0f} s ({why}); start it, "
        "and see that --coordinator names its host and port"
    )
