"""Where the tensors of a program lie, and what devices tell each other: all that a mesh adds to it.

What evaluates a program (:mod:`pjc.runtime.emit`) asks a placement wherever devices could differ.
:class:`Placement` is that of one device, which has nobody to tell. On a mesh the axis ``sample`` cuts a batch
into shares, each evaluated by a program of its own; over ``feature`` and ``stack`` either XLA splits the
tensors as the program's shardings say (:class:`MeshPlacement`), or every device of ``stack`` projects the
constraints that are assigned to it (:class:`AssignedPlacement`). How the iterations of loops pass values on
is in :mod:`pjc.runtime.mesh`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.sharding import Mesh, PartitionSpec
from xdsl.ir import Operation

from pjc.dialects import proj
from pjc.dialects.assigned import Assigned
from pjc.dialects.axes import SAMPLE, STACK
from pjc.dialects.layout import ShardingAttr
from pjc.runtime.combination import LazyState, added
from pjc.runtime.line import ONE, DeviceLine, Line

Sharding = ShardingAttr | None
"""Which axes of the mesh split each dimension of a tensor; None where none does."""


class Placement:
    """One device, which has all tensors and does everything: values stay as they are.

    ``alone`` says whether there is but one device, ``shares`` how many shares of the samples there are, of
    which a device has one, ``sees_all`` whether each device projects onto every constraint, and ``line``
    which stages of a stream are at a device.
    """

    alone = True
    shares = 1
    sees_all = True
    line: Line = ONE

    def mapped(self, function: Callable[..., Any], data: Mapping[str, Sharding]) -> Callable[..., Any]:
        """Return a function of (params, data, number) as all devices run it; ``data`` is cut into shares."""
        return function

    def swept(self, function: Callable[..., Any], data: Mapping[str, Sharding]) -> Callable[..., Any]:
        """Return a function of (params, data) and perhaps weights of samples as all devices run it."""
        return function

    def placed(self, sharding: Sharding, value: Array) -> Array:
        """Return a tensor split over the devices as its sharding says."""
        return value

    def pieces(self, sharding: Sharding) -> int:
        """Return into how many shares a tensor's samples are cut; 1 if every share has the same of it."""
        return 1

    def mean(self, sharding: Sharding, value: Array) -> Array:
        """Return the mean over the shares of what each found for a tensor; what has samples stays."""
        return value

    def total(self, sharding: Sharding, value: Array) -> Array:
        """Return the sum over the shares of what each found for a tensor; what has samples stays."""
        return value

    def largest(self, values: dict[str, Array]) -> dict[str, Array]:
        """Return the largest of the values that the shares have."""
        return values

    def project(
        self, part: proj.PartOp, state: LazyState, run: Callable[[Iterable[Operation]], LazyState]
    ) -> LazyState:
        """Return the state after a part, of which ``run`` gives the state after ops of it."""
        return run(part.body.block.ops)

    def from_owner(self, node: str, value: Array) -> Array:
        """Return on all devices what the device has to which a node is assigned."""
        return value

    def largest_of_owners(self, values: dict[str, Array]) -> dict[str, Array]:
        """Return on all devices values that are zero but on the devices to which their nodes are assigned."""
        return values


ONE_DEVICE = Placement()


class MeshPlacement(Placement):
    """Devices that each take a share of the samples, and split other axes of the tensors of that.

    Over the axes that are ``manual`` each device runs a program of its own; over the others XLA splits
    tensors.
    """

    alone = False
    manual = frozenset({SAMPLE})

    def __init__(self, mesh: Mesh, shares: int = 1) -> None:
        self.mesh = mesh
        self.shares = shares

    def mapped(self, function: Callable[..., Any], data: Mapping[str, Sharding]) -> Callable[..., Any]:
        return self._on_shares(function, (PartitionSpec(), self._cut(data), PartitionSpec()))

    def swept(self, function: Callable[..., Any], data: Mapping[str, Sharding]) -> Callable[..., Any]:
        weights = PartitionSpec(SAMPLE) if self.shares > 1 else PartitionSpec()
        return self._on_shares(function, (PartitionSpec(), self._cut(data), weights))

    def _cut(self, data: Mapping[str, Sharding]) -> dict[str, PartitionSpec]:
        """Return how the data of a batch are cut into shares."""
        return {
            name: PartitionSpec(SAMPLE) if self.pieces(sharding) > 1 else PartitionSpec()
            for name, sharding in data.items()
        }

    def _on_shares(self, function: Callable[..., Any], specs: tuple[Any, ...]) -> Callable[..., Any]:
        """Return a function that each device runs on its share; the second of ``specs`` is of data by label.

        Data that no spec tells of nothing reads, as the target of a requirement that no parameter moves.
        """

        def run(first: Any, data: Mapping[str, Array], *more: Any) -> Any:
            mapped = jax.shard_map(
                function,
                mesh=self.mesh,
                in_specs=specs[: 2 + len(more)],
                out_specs=PartitionSpec(),
                axis_names=self.manual,
                check_vma=False,
            )
            return mapped(first, {name: data[name] for name in specs[1]}, *more)

        return run

    def placed(self, sharding: Sharding, value: Array) -> Array:
        if sharding is None:
            return value
        split = [tuple(axis for axis in axes if axis != SAMPLE) or None for axes in sharding.axes()]
        return jnp.asarray(lax.with_sharding_constraint(value, PartitionSpec(*split)))

    def pieces(self, sharding: Sharding) -> int:
        return 1 if sharding is None or sharding.where(SAMPLE) is None else self.shares

    def mean(self, sharding: Sharding, value: Array) -> Array:
        return jnp.asarray(lax.pmean(value, SAMPLE)) if self._is_told(sharding) else value

    def total(self, sharding: Sharding, value: Array) -> Array:
        return jnp.asarray(lax.psum(value, SAMPLE)) if self._is_told(sharding) else value

    def largest(self, values: dict[str, Array]) -> dict[str, Array]:
        return values if self.shares == 1 else lax.pmax(values, SAMPLE)

    def _is_told(self, sharding: Sharding) -> bool:
        """Whether shares tell each other what they found for a tensor, for all to have the same."""
        return self.shares > 1 and self.pieces(sharding) == 1


class AssignedPlacement(MeshPlacement):
    """Devices that each project constraints of their own, and tell each other what they changed.

    Each holds the whole state, and takes the branch of its own constraints; what several use is added up, by
    an all-reduce of what changed.
    """

    manual = frozenset({SAMPLE, STACK})
    sees_all = False

    def __init__(self, mesh: Mesh, shares: int, assigned: Assigned) -> None:
        super().__init__(mesh, shares)
        self.assigned = assigned

    def placed(self, sharding: Sharding, value: Array) -> Array:
        return value

    def project(
        self, part: proj.PartOp, state: LazyState, run: Callable[[Iterable[Operation]], LazyState]
    ) -> LazyState:
        name = part.part.data
        written = self.assigned.written(name)

        def branch(device: int) -> list[Array]:
            found = run(self.assigned.ops(name, device))
            return [added(found[each]) for each in written]

        branches = [partial(branch, device) for device in range(self.assigned.devices)]
        own: list[Array] = lax.switch(lax.axis_index(STACK), branches)
        changed = dict(zip(written, own, strict=True))
        for each in self.assigned.told(name):
            before = added(state[each])
            changed[each] = jnp.asarray(before + lax.psum(changed[each] - before, STACK))
        return {**state, **changed}

    def from_owner(self, node: str, value: Array) -> Array:
        mine = lax.axis_index(STACK) == self.assigned.device(node)
        return jnp.asarray(lax.psum(jnp.where(mine, value, jnp.zeros_like(value)), STACK))

    def largest_of_owners(self, values: dict[str, Array]) -> dict[str, Array]:
        found: dict[str, Array] = lax.pmax(values, STACK)
        return found


class StagePlacement(MeshPlacement):
    """Devices that each have some of the stages of a stream, and a share of the samples."""

    manual = frozenset({SAMPLE, STACK})

    def __init__(self, mesh: Mesh, shares: int) -> None:
        super().__init__(mesh, shares)
        self.line = DeviceLine(mesh.shape[STACK])

    def placed(self, sharding: Sharding, value: Array) -> Array:
        return value


def placement_on(mesh: Mesh, program: proj.ProgramOp, shares: int = 1) -> MeshPlacement:
    """Return where a program lies on a mesh, of which each device takes one of ``shares`` of the samples."""
    if program.stage_ops():
        return StagePlacement(mesh, shares)
    assigned = Assigned.of(program)
    if assigned is None:
        return MeshPlacement(mesh, shares)
    return AssignedPlacement(mesh, shares, assigned)
