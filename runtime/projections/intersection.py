"""What is in several convex sets at once, by Dykstra's method.

Set: ``S = S_1 & ... & S_k``.

Projection: argmin over ``x'`` in S of ``|x' - x|^2``.

Solution: the sets are projected onto in turn, each from where the last one ended less what its own
projection did the turn before: ``z = y + c_i``, ``y = P_i(z)``, ``c_i = z - y``, from ``y = x`` and ``c =
0``. This ends at the nearest point, where plain alternation would end at any point of S.

Stops: vector by vector, where entries have nothing to do with those of others, when the corrections ``c``
change in a turn by no more than rounding (E. Birgin and M. Raydan, "Robust stopping criteria for Dykstra's
algorithm", 2005: that y stands still for a turn says nothing), or after 1000 turns.
:meth:`Intersection.residual` is how far what is found is from the farthest of the sets; of sets that have
no common point it stays above 0.

Ties: none, all are convex, which the declaration of each says.

Source: J. Boyle and R. Dykstra, "A method for finding projections onto the intersection of convex sets in
Hilbert spaces" (1986).

Shapes: any that fit all.

Exact: in the last set to its own rounding, and to the residual in the others.

Cost: a projection onto each set a turn; tens of turns where the sets meet at wide angles, more where narrow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp
from jax import Array, lax

from pjc.runtime.projections.sets import ConstraintSet

TURNS = 1000


@dataclass(frozen=True)
class Intersection(ConstraintSet):
    """``S = S_1 & ... & S_k``."""

    name: ClassVar[str] = "intersection"

    sets: tuple[ConstraintSet, ...]

    def joined(self) -> tuple[int, ...] | None:
        found: set[int] = set()
        for each in self.sets:
            axes = each.joined()
            if axes is None:
                return None
            found.update(axes)
        # The axes of matrices are counted from the end, others from the front: together they may be all.
        return tuple(sorted(found)) if min(found, default=0) >= 0 or max(found) < 0 else None

    def nearest(self, x: Array) -> Array:
        # At a sixteenth of the largest number, so that no sum of corrections overflows.
        most = float(jnp.finfo(x.dtype).max) / 16
        # Far away the corrections round by more than the sets allow: from close by it ends in them.
        return self._dykstra(self._dykstra(jnp.clip(x, -most, most)))

    def _dykstra(self, x: Array) -> Array:
        """Return where the turns end."""
        near, joined = 4 * float(jnp.finfo(x.dtype).eps), self.joined()
        axes = range(x.ndim) if joined is None else [axis % x.ndim for axis in joined]

        def largest(corrections: Array) -> Array:
            """Return the largest entry of each vector's corrections."""
            return jnp.max(jnp.abs(corrections), axis=(0, *(axis + 1 for axis in axes)), keepdims=True)[0]

        def turn(carry: tuple[Array, Array, Array, Array]) -> tuple[Array, Array, Array, Array]:
            before, corrections, goes_on, turns = carry
            y, after = before, []
            for each, correction in zip(self.sets, corrections, strict=True):
                z = y + correction
                y = each.nearest(z)
                after.append(z - y)
            new = jnp.stack(after)
            size = jnp.maximum(largest(y[None]), largest(new))
            moves = largest(new - corrections) > near * size
            # A vector that has come to its end stays there, however long others take.
            return (
                jnp.where(goes_on, y, before),
                jnp.where(goes_on, new, corrections),
                goes_on & moves,
                turns + 1,
            )

        def moving(carry: tuple[Array, Array, Array, Array]) -> Array:
            return jnp.any(carry[2]) & (carry[3] < TURNS)

        none = jnp.zeros((len(self.sets), *x.shape), x.dtype)
        every = jnp.full_like(largest(none), True, dtype=bool)
        found, *_ = lax.while_loop(moving, turn, (x, none, every, jnp.array(0)))
        return jnp.asarray(found)

    def residual(self, found: Array) -> Array:
        """Return the largest distance of an entry of what was found to where a set would have it."""
        return jnp.max(jnp.stack([jnp.max(jnp.abs(each.project(found) - found)) for each in self.sets]))
