"""The size of a site, by which distances are scaled before they are squared."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array


def site_scale(inputs: tuple[Array, ...], z: Array, axes: tuple[int, ...]) -> Array:
    """Return the largest magnitude of each site, 1 where all is zero, to score distances without overflow."""
    largest = jnp.abs(z)
    for x in inputs:
        largest = jnp.maximum(largest, jnp.max(jnp.abs(x), axis=axes))
    return jnp.where(largest > 0, largest, 1)
