"""Which arrays have numbers that are not finite."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def not_finite(arrays: Mapping[str, Any]) -> list[str]:
    """Return the names of arrays that have an infinity, or what is no number.

    Traced ones cannot be looked at, nor those of which other processes hold a part. All are looked at in one
    call of the device, for there is one after every step.
    """
    seen = {
        name: array
        for name, array in arrays.items()
        if not isinstance(array, jax.core.Tracer) and getattr(array, "is_fully_addressable", True)
    }
    if any(isinstance(array, jax.Array) for array in seen.values()):
        finite = np.asarray(_finite(list(seen.values())))
    else:
        finite = np.array([np.isfinite(np.asarray(array)).all() for array in seen.values()], bool)
    return [name for name, whole in zip(seen, finite, strict=True) if not whole]


@jax.jit
def _finite(arrays: list[Any]) -> jax.Array:
    return jnp.stack([jnp.isfinite(array).all() for array in arrays])
