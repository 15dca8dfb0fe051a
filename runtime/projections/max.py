"""Maxima: the graph of ``f(x_1, ..., x_n) = max x_i``.

Set: ``{(x, z) : z = max x_i}``, over all inputs and along the axes. Not convex.

Projection: argmin over ``(x', z')`` in the set of ``|x' - x|^2 + (z' - z)^2``.

Solution: the k largest terms and z meet at their mean ``m_k = (z + sum of the k largest) / (k + 1)``, with
the first k for which the next term is at most m_k; the other terms stay. If ``m_1`` exceeds every term,
only one of the largest is raised to it.

Ties: where one of several largest terms is to be raised, the first.

Source: A. Bergmeister et al., arXiv 2506.05878; the water-filling argument is that of the projection onto
the epigraph of the maximum, N. Parikh and S. Boyd, "Proximal Algorithms" (2014), section 6.4.

Shapes: n inputs of one shape; z of that shape without the axes.

Exact: to rounding, relative to the largest of |x_i| and |z|, by which a site is scaled.

Cost: O(n log n) time and O(n) memory a site, for the sort.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp
from jax import Array

from pjc.runtime.projections.operator import Operator
from pjc.runtime.projections.sum_relu import site_scale


@dataclass(frozen=True)
class Max(Operator):
    """``f(x) = the largest of x``, over all inputs and along ``axes``."""

    name: ClassVar[str] = "max"
    convex: ClassVar[bool] = False

    axes: tuple[int, ...] = ()

    def forward(self, *inputs: Array) -> Array:
        return jnp.max(self._listed(inputs), axis=-1)

    def project(self, inputs: tuple[Array, ...], z: Array) -> tuple[tuple[Array, ...], Array]:
        scale = site_scale(inputs, z, self.axes)
        terms = self._listed(inputs)
        scaled = terms / scale[..., None]
        falling = -jnp.sort(-scaled, axis=-1)
        below = jnp.concatenate([falling[..., 1:], jnp.full_like(falling[..., :1], -jnp.inf)], axis=-1)
        sizes = jnp.arange(2, terms.shape[-1] + 2, dtype=terms.dtype)
        means = ((z / scale)[..., None] + jnp.cumsum(falling, axis=-1)) / sizes
        first = jnp.argmax(below <= means, axis=-1, keepdims=True)
        level = jnp.take_along_axis(means, first, axis=-1)[..., 0] * scale
        position = jnp.arange(terms.shape[-1]) == jnp.argmax(terms, axis=-1, keepdims=True)
        lowered = jnp.minimum(terms, level[..., None])
        raised = jnp.where(position, jnp.maximum(level[..., None], terms), terms)
        above = (level >= jnp.max(terms, axis=-1))[..., None]
        return self._unlisted(jnp.where(above, raised, lowered), inputs), level

    def _listed(self, inputs: tuple[Array, ...]) -> Array:
        """Return all terms of a site along the last axis: ``[*sites, n]``."""
        stacked = jnp.stack(inputs, axis=-1)
        kept = [axis for axis in range(inputs[0].ndim) if axis not in self.axes]
        moved = jnp.transpose(stacked, (*kept, *self.axes, inputs[0].ndim))
        return moved.reshape(*(inputs[0].shape[axis] for axis in kept), -1)

    def _unlisted(self, terms: Array, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        """Return the terms as the inputs hold them."""
        shape = inputs[0].shape
        kept = [axis for axis in range(len(shape)) if axis not in self.axes]
        order = [*kept, *self.axes]
        split = terms.reshape(*(shape[axis] for axis in order), len(inputs))
        back = [order.index(axis) for axis in range(len(shape))]
        return tuple(jnp.transpose(split[..., i], back) for i in range(len(inputs)))
