"""How what a stream trains lies on a mesh: parameters, what their outer steps remember, and rings.

Arrays of stages alike are split over ``stack`` along their first axis. Of what is at the first or the last
device alone each device has a row, along a first axis that one device does not know; only one of them is in
use. Rings are also split over ``sample``. *Whole* arrays are those of one device: so files hold them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from pjc.diagnostics import mistake
from pjc.dialects import proj
from pjc.dialects.axes import SAMPLE, STACK
from pjc.dialects.streaming import Home
from pjc.dialects.view import shape_of
from pjc.runtime.outer_state import rows_in

Arrays = Mapping[str, Any]


@dataclass(frozen=True)
class Place:
    """Where an array is along ``stack``, and the axis along which it is split over ``sample``, if it is."""

    home: Home = "everywhere"
    samples: int | None = None

    @property
    def is_at_end(self) -> bool:
        """Whether one device alone has it in use."""
        return self.home in ("first", "last")

    @property
    def spec(self) -> P:
        """How it is split."""
        found = {} if self.home == "everywhere" else {0: STACK}
        if self.samples is not None:
            found[self.samples + self.is_at_end] = SAMPLE
        return P(*(found.get(axis) for axis in range(max(found, default=-1) + 1)))


EVERYWHERE = Place()


def ring_places(whole: proj.ProgramOp, share: proj.ProgramOp) -> dict[str, Place]:
    """Return where the rings of a stream are, by name; ``share`` is its program for a share of the samples.

    Raises:
        DiagnosticError: where a ring has samples along an axis of other things, too: it cannot be cut.
    """
    found = {}
    for name, ring in whole.rings().items():
        sizes, own = shape_of(ring.type), shape_of(share.rings()[name].type)
        cut = next((axis for axis, size in enumerate(sizes) if size != own[axis]), None)
        if cut is not None and sizes[cut] * whole.pieces != whole.batch:
            raise mistake(
                f"the samples of a stream cannot be split: what stages hand on as '{name}' has a dimension "
                f"of {sizes[cut]}, which counts samples and other things",
                "take a mesh without sample",
            )
        before = 1 if ring.count == 1 else 2  # entries by tick, behind the stages alike
        found[name] = Place(ring.home, None if cut is None else cut + before)
    return found


@dataclass(frozen=True)
class DeviceLayout:
    """How arrays lie, by name; those without a place are everywhere.

    ``data`` are pieces of a batch, by label; ``shapes`` are those that whole arrays have of which one
    device alone has the row that is in use.
    """

    mesh: Mesh
    places: Mapping[str, Place]
    data: Mapping[str, Place]
    shapes: Mapping[str, jax.ShapeDtypeStruct]

    @property
    def devices(self) -> int:
        """How many devices are along ``stack``."""
        return int(self.mesh.shape[STACK])

    def place(self, name: str) -> Place:
        """Return where an array is."""
        return self.places.get(name, EVERYWHERE)

    def is_sharded(self, arrays: Arrays) -> bool:
        """Whether arrays are those that devices have, rather than whole ones."""
        return rows_in(self.shapes, arrays) == self.devices

    def shard(self, arrays: Arrays) -> dict[str, Array]:
        """Return whole arrays as the devices have them."""
        return dict(self._shard(dict(arrays)))

    def unshard(self, arrays: Arrays) -> dict[str, Array]:
        """Return whole arrays of those that devices have, on every device: the inverse of :meth:`shard`."""
        return dict(self._unshard(dict(arrays)))

    def mapped(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function of whole meshes, of one that says what a device does.

        Both take parameters, what is remembered, a number of steps and the pieces of a batch by label, none
        of them for no batch; and give parameters, what is remembered, and what is the same on all devices.
        """

        def own(arrays: Arrays) -> dict[str, Any]:
            return {n: each[0] if self.place(n).is_at_end else each for n, each in arrays.items()}

        def of_all(arrays: Arrays) -> dict[str, Any]:
            return {n: each[None] if self.place(n).is_at_end else each for n, each in arrays.items()}

        def local(params: Arrays, remembered: Arrays, steps: Array, pieces: Arrays) -> Any:
            after, kept, info = function(own(params), own(remembered), steps, pieces or None)
            return of_all(after), of_all(kept), info

        def run(params: Arrays, remembered: Arrays, steps: Array, pieces: Arrays) -> Any:
            given, held = self._specs(params), self._specs(remembered)
            cut = {label: self.data.get(label, EVERYWHERE).spec for label in pieces}
            made = jax.shard_map(
                local,
                mesh=self.mesh,
                in_specs=(given, held, P(), cut),
                out_specs=(given, held, P()),
                axis_names={SAMPLE, STACK},
                check_vma=False,
            )
            return made(params, remembered, steps, pieces)

        return run

    def _specs(self, arrays: Arrays) -> dict[str, P]:
        return {name: self.place(name).spec for name in arrays}

    @cached_property
    def _shard(self) -> Any:
        def shard(arrays: Arrays) -> dict[str, Any]:
            found = {}
            for name, value in arrays.items():
                place = self.place(name)
                rows = jnp.broadcast_to(value, (self.devices, *value.shape)) if place.is_at_end else value
                found[name] = lax.with_sharding_constraint(rows, NamedSharding(self.mesh, place.spec))
            return found

        return jax.jit(shard)

    @cached_property
    def _unshard(self) -> Any:
        def unshard(arrays: Arrays) -> dict[str, Any]:
            found = {}
            for name, value in arrays.items():
                home = self.place(name).home
                one = value[0] if home == "first" else value[-1] if home == "last" else value
                found[name] = lax.with_sharding_constraint(one, NamedSharding(self.mesh, P()))
            return found

        return jax.jit(unshard)
