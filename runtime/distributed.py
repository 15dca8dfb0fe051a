"""Training by several processes, each with devices of its own, through JAX's distributed runtime.

The devices of all processes are one mesh. A batch is split over its axis ``sample``: every process draws the
same order of the samples and reads only the rows of a batch that its own devices take. Parameters are on
every device, so that any process could write them; the first one does. XLA's partitioner makes the
collectives, which on CPUs are Gloo's.

What happens when a process dies is the business of :mod:`pjc.runtime.supervisor`.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax._src import xla_bridge
from jax._src.distributed import global_state
from jax._src.lib import _jax  # type: ignore[attr-defined]
from jax.experimental import multihost_utils
from jax.extend.backend import register_backend_factory
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from numpy.typing import NDArray

from pjc.dialects.axes import MESH_AXES, SAMPLE
from pjc.runtime import rendezvous
from pjc.runtime.mesh import make_mesh
from pjc.runtime.rendezvous import DistributedError as DistributedError

HEARTBEAT = 30
"""Seconds without a sign of life after which a process counts as dead."""
_CLUSTER_TIMEOUT = 300
"""Seconds that they wait where a cluster starts them, perhaps one after another."""
_STOP_TIMEOUT = 60


def start(
    coordinator: str | None = None,
    processes: int | None = None,
    process: int | None = None,
    heartbeat: int = HEARTBEAT,
) -> None:
    """Join the other processes of a run; must come before anything is computed.

    Args:
        coordinator: ``HOST:PORT`` of the process 0, at which it listens. What is None is as the cluster
            sets it, where JAX knows the cluster: Slurm, Open MPI, Kubernetes, Cloud TPU.
        processes: how many there are.
        process: the index of this one, from 0.
        heartbeat: seconds without a sign of life after which a process counts as dead.

    Raises:
        DistributedError: if no cluster is known and nothing is given, or the others cannot be reached.
    """
    deadline = time.monotonic() + rendezvous.START_TIMEOUT
    if coordinator is not None:
        rendezvous.check(coordinator, process == 0, deadline)
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    # It would take SIGTERM for itself, which is ours to stop with.
    jax.config.update("jax_enable_preemption_service", False)
    try:
        jax.distributed.initialize(
            coordinator,
            processes,
            process,
            coordinator_bind_address=rendezvous.loopback(coordinator),
            initialization_timeout=_CLUSTER_TIMEOUT if coordinator is None else rendezvous.left(deadline),
            heartbeat_timeout_seconds=heartbeat,
            shutdown_timeout_seconds=_STOP_TIMEOUT,
        )
        if rendezvous.loopback(global_state.coordinator_address):
            _stay_on_loopback()
        if coordinator is not None:
            _require_count(deadline)
    except (ValueError, TypeError) as error:
        raise DistributedError(
            f"no cluster was found that says how many processes there are ({str(error).rstrip('.')}); "
            "give --coordinator HOST:PORT, --processes N and --process I"
        ) from None
    except RuntimeError as error:
        text = " ".join(str(error).split())[:200]
        raise DistributedError(f"{rendezvous.not_found(coordinator, processes)} ({text})") from None
    _quiet()


def _stay_on_loopback() -> None:
    """Let collectives listen on the loopback interface alone, as the coordinator does."""
    os.environ.setdefault("NCCL_SOCKET_IFNAME", "lo")
    client = global_state.client

    def make() -> Any:
        # JAX has no option for where Gloo listens: by itself it takes the address of the host's name.
        collectives = _jax.make_gloo_tcp_collectives(client, hostname="127.0.0.1")
        return xla_bridge.make_cpu_client(collectives)

    register_backend_factory("cpu", make, priority=0, fail_quietly=False)


def _require_count(deadline: float) -> None:
    """Raise DistributedError unless all processes were told the same number of them.

    Those that came are as many as process 0 was told, but a process may have been told of more.
    """
    told = global_state
    client: Any = told.client
    client.key_value_set(f"pjc/processes/{told.process_id}", str(told.num_processes))
    for other in range(told.num_processes):
        theirs = client.blocking_key_value_get(f"pjc/processes/{other}", 1000 * rendezvous.left(deadline))
        if int(theirs) != told.num_processes:
            raise DistributedError(
                f"process {other} was started with --processes {theirs} and process {told.process_id} with "
                f"--processes {told.num_processes}, both with --coordinator {told.coordinator_address}; "
                "all take the same number"
            )


def stop() -> None:
    """Leave the run, once all processes get here."""
    jax.distributed.shutdown()


def index() -> int:
    """Return which of the processes this is, from 0."""
    return int(jax.process_index())


def count() -> int:
    """Return how many processes there are."""
    return int(jax.process_count())


def is_writer() -> bool:
    """Return whether this is the process that writes files and says how training goes."""
    return jax.process_index() == 0


_LOST = re.compile(
    r"gloo|nccl|coordination.?service|PollForError|heartbeat|barrier|socket closed"
    r"|connection (reset|refused|closed)|broken pipe|\b(UNAVAILABLE|DEADLINE_EXCEEDED)\b",
    re.IGNORECASE,
)
"""What JAX's runtime, Gloo, NCCL and gRPC say where a process is gone."""


def is_lost_peer(error: BaseException) -> bool:
    """Return whether an error tells that a process is gone: itself, or one that it was made of."""
    seen: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in seen:
        seen.append(current)
        current = current.__cause__ or current.__context__
    return any(_LOST.search(str(each)) for each in seen if not isinstance(each, DistributedError))


def sample_mesh() -> Mesh:
    """Return the mesh of the devices of all processes in which each takes a share of the samples."""
    return make_mesh({**dict.fromkeys(MESH_AXES, 1), SAMPLE: len(jax.devices())})


def require_same(facts: Mapping[str, object]) -> None:
    """Raise DistributedError, in all processes, unless they agree on ``facts``: what they train, on what."""
    names = list(facts)
    own = [hashlib.sha256(json.dumps(facts[name]).encode()).digest() for name in names]
    table = np.frombuffer(b"".join(own), np.uint8).reshape(len(names), -1)
    found = multihost_utils.process_allgather(table)  # [processes, facts, 32]
    for process, other in enumerate(found):
        for name, first, digest in zip(names, found[0], other, strict=True):
            if not np.array_equal(first, digest):
                raise DistributedError(
                    f"process {process} was given another {name} than process 0; "
                    "all processes take the same options and the same data"
                )


@contextmanager
def file_of_writer(path: Path) -> Iterator[Path]:
    """Yield a path with what the writer's file ``path`` holds, whether or not the disk is shared."""
    size = int(multihost_utils.broadcast_one_to_all(np.int32(path.stat().st_size if is_writer() else 0)))
    content = np.fromfile(path, np.uint8) if is_writer() else np.zeros(size, np.uint8)
    content = np.asarray(multihost_utils.broadcast_one_to_all(content), np.uint8)
    if is_writer():
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, path.name)
        content.tofile(copy)
        yield copy


class Share:
    """This process's share of the samples and of the devices: all of them, where it is alone.

    ``processes`` and ``process`` say how many there are and which this is.
    """

    processes = 1
    process = 0

    def check(self, size: int) -> None:
        """Raise DistributedError unless a batch of ``size`` can be split evenly."""

    def rows(self, size: int) -> NDArray[np.int64]:
        """Return which rows of a batch of ``size`` this process reads."""
        return np.arange(size)

    def batch(self, rows: NDArray[Any], size: int) -> Any:
        """Return a batch ``[size, ...]`` as the devices take it, from the rows that this process has read."""
        return rows

    def everywhere(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return new arrays with these values on every device."""
        return {name: jnp.copy(value) for name, value in values.items()}

    def local(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return what is on every device as new arrays of this process alone."""
        return {name: jnp.copy(value) for name, value in values.items()}

    def replicated(self) -> Any:
        """Return the sharding of what is on every device; None leaves that to JAX."""
        return None

    def question(self, wish: bool) -> Any:
        """Return what carries this process's wish to stop into the next update."""
        return np.array([wish], np.int32)

    def agreed(self, wish: bool, answer: Any) -> bool:
        """Return whether to stop: any process wished to, as all of them learn at the same batch."""
        return wish

    def total(self, value: float) -> float:
        """Return the sum of the values of all processes."""
        return value


class MeshShare(Share):
    """The share of one of several processes in a mesh with an axis ``sample``, and perhaps other axes."""

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh
        self.processes = jax.process_count()
        self.process = jax.process_index()
        self._split = NamedSharding(mesh, P(SAMPLE))
        self._answers: deque[Any] = deque()

    def check(self, size: int) -> None:
        devices = self.mesh.shape[SAMPLE]
        if size % devices:
            below, above = size // devices * devices, -(-size // devices) * devices
            advice = f"{below} or {above}" if below else str(above)
            raise DistributedError(
                f"a batch of {size} samples cannot be split evenly over {devices} devices; "
                f"compile with --batch {advice}"
            )

    def rows(self, size: int) -> NDArray[np.int64]:
        parts = self._split.addressable_devices_indices_map((size,)).values()
        every = np.arange(size)
        return np.unique(np.concatenate([every[part] for part in parts if part is not None]))

    def batch(self, rows: NDArray[Any], size: int) -> Any:
        return jax.make_array_from_process_local_data(self._split, rows, (size, *rows.shape[1:]))

    def everywhere(self, values: Mapping[str, Any]) -> dict[str, Any]:
        # Other processors may round otherwise; the writer's numbers are those that are written.
        told = multihost_utils.broadcast_one_to_all({name: np.asarray(values[name]) for name in values})
        return {name: jax.device_put(np.asarray(told[name]), self.replicated()) for name in values}

    def local(self, values: Mapping[str, Any]) -> dict[str, Any]:
        return {name: jnp.asarray(np.asarray(value)) for name, value in values.items()}

    def replicated(self) -> Any:
        return NamedSharding(self.mesh, P())

    def question(self, wish: bool) -> Any:
        devices = self.mesh.shape[SAMPLE]
        return self.batch(np.full(len(self.rows(devices)), wish, np.int32), devices)

    def agreed(self, wish: bool, answer: Any) -> bool:
        # The answer before the last is there already: waiting for it leaves one update queued.
        self._answers.append(answer)
        return len(self._answers) > 1 and bool(self._answers.popleft())

    def total(self, value: float) -> float:
        pieces = multihost_utils.process_allgather(np.array([value], np.float64).view(np.uint32))
        return float(np.ascontiguousarray(pieces).view(np.float64).sum())


ALONE = Share()


def _quiet() -> None:
    """Connect the processes, which Gloo tells on stdout, and let only the writer speak on it."""
    speaking = os.dup(1)
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    multihost_utils.sync_global_devices("start")  # one device of each process
    everywhere = MeshShare(sample_mesh())
    total = jax.jit(jnp.sum, out_shardings=everywhere.replicated())
    total(everywhere.question(True)).block_until_ready()  # all devices
    if is_writer():
        os.dup2(speaking, 1)
    os.close(speaking)
    os.close(nothing)


def describe() -> str:
    """Return how many processes and devices there are, in words."""
    return f"{count()} processes, {len(jax.devices())} devices"
