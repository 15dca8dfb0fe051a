"""The size of a site, by which distances are scaled before they are squared."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array


def site_scale(inputs: tuple[Array, ...], z: Array, axes: tuple[int, ...]) -> Array:
    """Return the largest magnitude of each site, 1 where all is zero, to score distances without overflow.

    At most a quarter of the largest power of two, so that its reciprocal is a normal number: compilers divide
    by multiplying with that, and processors may take less for 0.
    """
    largest = jnp.abs(z)
    for x in inputs:
        largest = jnp.maximum(largest, jnp.max(jnp.abs(x), axis=axes))
    return jnp.where(largest > 0, bounded(largest), 1)


def bounded(scale: Array) -> Array:
    """Return a scale, or the largest whose reciprocal is a normal number."""
    return jnp.minimum(scale, 2.0 ** (int(jnp.finfo(scale.dtype).maxexp) - 2))
