"""Who does what of a stream: one device all of it, or each of those along ``stack`` a stretch of its stages.

The iterations of the loop are shared evenly, in their order; what stands before the loop is with the first of
them, what stands behind with the last. So what goes from stage to stage leaves a device at the ends of its
stretch alone: a value a tick upwards, and a demand a tick downwards.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from pjc.dialects.axes import STACK
from pjc.dialects.streaming import Home
from pjc.runtime.mesh import shifted, shifted_back


class Line:
    """One device, which has all stages."""

    devices = 1

    def own(self, count: int) -> int:
        """Return how many of so many stages alike are here."""
        return count

    def offset(self, count: int) -> Array | int:
        """Return how many of so many stages alike are at the devices before this one."""
        return 0

    def at(self, home: Home, run: Callable[[], Any], otherwise: Callable[[], Any] | None = None) -> Any:
        """Return what ``run`` gives where it is to run; elsewhere ``otherwise``, or by default zeros."""
        return run()

    def only_at(self, home: Home, value: Array) -> Array:
        """Return a value where it is in use, elsewhere zeros."""
        return value

    def up(self, values: Array, first: Array | None) -> Array:
        """Return what stages alike are handed of what each made: ``first`` is handed to the first of all."""
        moved = jnp.asarray(shifted(values, 1))
        return moved if first is None else moved.at[0].set(first)

    def down(self, values: Array) -> Array:
        """Return what stages alike are asked by what each next one asks; the last of all by none."""
        return jnp.asarray(shifted_back(values, 1))

    def across(self, value: Array, giver: Home, taker: Home) -> Array:
        """Return at the home of the taker what was made at that of the giver."""
        return value

    def share(self, home: Home) -> float:
        """Return what part of a mean over stages alike the mean over those here is."""
        return 1.0

    def part(self, home: Home, root: Array) -> Array:
        """Return a root mean square over what is here so that the squares add up to that over all devices."""
        return root

    def total(self, values: Any) -> Any:
        """Return the sums of numbers over the devices."""
        return values

    def largest(self, values: Any) -> Any:
        """Return the largest of numbers over the devices."""
        return values


ONE = Line()


@dataclass(frozen=True)
class DeviceLine(Line):
    """So many ``devices`` along ``stack``; for what runs as one program a device (``jax.shard_map``)."""

    devices: int

    def own(self, count: int) -> int:
        return count // self.devices if count > 1 else count

    def offset(self, count: int) -> Array | int:
        return lax.axis_index(STACK) * self.own(count) if count > 1 else 0

    def at(self, home: Home, run: Callable[[], Any], otherwise: Callable[[], Any] | None = None) -> Any:
        if home not in ("first", "last"):
            return run()

        def zeros() -> Any:
            return jax.tree.map(lambda each: jnp.zeros(each.shape, each.dtype), jax.eval_shape(run))

        return lax.cond(self._is_at(home), run, otherwise or zeros)

    def only_at(self, home: Home, value: Array) -> Array:
        if home not in ("first", "last"):
            return value
        return jnp.where(self._is_at(home), value, jnp.zeros_like(value))

    def up(self, values: Array, first: Array | None) -> Array:
        pairs = [(device, device + 1) for device in range(self.devices - 1)]
        handed = lax.ppermute(values[-1:], STACK, pairs)
        if first is not None:
            handed = jnp.where(self._is_at("first"), first[None], handed)
        return jnp.concatenate([handed, values[:-1]])

    def down(self, values: Array) -> Array:
        pairs = [(device + 1, device) for device in range(self.devices - 1)]
        return jnp.concatenate([values[1:], lax.ppermute(values[:1], STACK, pairs)])

    def across(self, value: Array, giver: Home, taker: Home) -> Array:
        if giver == taker:
            return value
        pair = tuple(0 if home == "first" else self.devices - 1 for home in (giver, taker))
        return jnp.asarray(lax.ppermute(value, STACK, [pair]))

    def share(self, home: Home) -> float:
        return 1 / self.devices if home in ("shared", "everywhere") else 1.0

    def part(self, home: Home, root: Array) -> Array:
        if home in ("first", "last"):
            return self.only_at(home, root)
        return jnp.asarray(root * self.share(home) ** 0.5)

    def total(self, values: Any) -> Any:
        return lax.psum(values, STACK)

    def largest(self, values: Any) -> Any:
        return lax.pmax(values, STACK)

    def _is_at(self, home: Home) -> Array:
        device = 0 if home == "first" else self.devices - 1
        return jnp.asarray(lax.axis_index(STACK) == device)
