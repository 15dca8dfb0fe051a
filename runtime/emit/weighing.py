"""Means and norms over the samples of a batch, which may have weights, and over steps of a loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import jax.numpy as jnp
from jax import Array

from pjc.dialects.steps import Rows
from pjc.runtime.placement import Placement
from pjc.runtime.projections.sums import in_blocks


@dataclass(frozen=True)
class Weighing:
    """What samples weigh, and over which devices they are spread.

    ``weights`` has a number for each sample here; None if each weighs 1. Those that are not 0 are 1 on
    average. ``batch`` is how many samples there are here, 1 for a network without a batch.
    """

    placement: Placement
    batch: int
    weights: Array | None = None

    @classmethod
    def of(cls, placement: Placement, batch: int, weights: Array | None) -> Weighing:
        """Return that of weights of any scale."""
        if weights is None:
            return cls(placement, batch)
        count = placement.total(None, jnp.sum(weights > 0).astype(weights.dtype))
        total = placement.total(None, jnp.sum(weights))
        return cls(
            placement, batch, weights * jnp.where(total > 0, count / jnp.where(total > 0, total, 1), 0)
        )

    def pieces(self, rows: Rows | None) -> int:
        """Return over how many devices' samples a tensor with such rows is cut."""
        return 1 if rows is None else self.placement.shares

    def total(self, value: Array) -> Array:
        """Return the sum over all devices."""
        return self.placement.total(None, value)

    def of_rows(self, rows: Rows, shape: tuple[int, ...]) -> Array:
        """Return the weights of a tensor's entries, in a shape that broadcasts to the tensor's."""
        assert self.weights is not None
        sample = (jnp.arange(shape[rows.axis]) // rows.inner) % self.batch
        return self.weights[sample].reshape([-1 if axis == rows.axis else 1 for axis in range(len(shape))])

    def weighted(self, value: Array, rows: Rows | None) -> Array:
        """Return a tensor's entries times the weights of their samples."""
        if rows is None or self.weights is None:
            return value
        return value * self.of_rows(rows, value.shape).astype(value.dtype)

    def mean_of(self, total: Array) -> Array:
        """Return the mean over all samples of what is added up over them."""
        if self.weights is None:
            return total / (self.batch * self.placement.shares)
        weight = self.total(jnp.sum(self.weights)).astype(total.dtype)
        return jnp.where(weight > 0, total / jnp.where(weight > 0, weight, 1), 0)

    def mean(self, rows: Rows | None, steps: int) -> Callable[[Array], Array]:
        """Return what takes the mean of a tensor over its sites at each step, ``[steps, 1, ..]``.

        The tensor has the axes of the sites; one of length 1 stands for entries that are all the same.
        Samples count as much as they weigh.
        """

        def of(value: Array) -> Array:
            # With one sample on a device length 1 may be that; of entries that are the same no weight tells.
            differs = rows is not None and (value.shape[rows.axis] > 1 or self.batch == 1)
            if rows is not None and self.weights is not None and differs:
                weights = jnp.broadcast_to(self.of_rows(rows, value.shape), value.shape).astype(value.dtype)
                over = self.total(_at_steps(weights, steps))
                found = self.total(_at_steps(weights * value, steps)) / jnp.where(over > 0, over, 1)
            else:
                rows_of_steps = value.shape[:1] not in ((), (1,))
                found = _at_steps(value, steps) * ((steps if rows_of_steps else 1) / value.size)
                if self.pieces(rows) > 1:
                    found = self.placement.mean(None, found)
            return found.reshape(steps, *[1] * (value.ndim - 1))

        return of

    def mean_over_sites(self, value: Array, rows: Rows | None) -> Array:
        """Return the mean of a tensor's entries over the samples that count, of all devices; one number."""
        total = jnp.sum(self.weighted(value, rows))
        if self.pieces(rows) > 1:
            total = self.total(total)
        return total / jnp.maximum(self.entries(float(value.size), rows), 1.0)

    def square(self, value: Array, rows: Rows | None, steps: int) -> Array:
        """Return the sum of a tensor's squares at each step, over all devices' samples; always finite.

        One number if there is one step, else ``[steps]``.
        """
        found = _at_steps(value * value, steps)
        if self.pieces(rows) > 1:
            found = self.total(found)
        found = found.reshape(()) if steps == 1 else found
        return jnp.minimum(found, jnp.finfo(value.dtype).max)

    def entries(self, size: float, rows: Rows | None) -> Array | float:
        """Return how many of a tensor's entries are of samples that count, over all devices."""
        if rows is None or self.weights is None:
            return float(size * self.pieces(rows))
        return size / self.batch * self.total(jnp.sum(self.weights > 0).astype(self.weights.dtype))

    def root_mean_square(self, value: Array, rows: Rows | None) -> Array:
        """Return the root mean square of a tensor's entries, over the samples that count, of all devices."""
        entries = jnp.maximum(self.entries(float(value.size), rows), 1.0)
        return jnp.sqrt(self.square(value, rows, 1) / entries)


def _at_steps(value: Array, steps: int) -> Array:
    """Return the sum of a tensor at each step, ``[steps]``; what has one row is the same at all steps."""
    if steps == 1 or value.shape[:1] in ((), (1,)):
        return jnp.broadcast_to(in_blocks(jnp.sum, value.reshape(-1)), (steps,))
    return in_blocks(jnp.sum, value.reshape(steps, -1))
