"""Which arrays have numbers that are not finite."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def not_finite(arrays: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names of arrays that have an infinity, or what is no number.

    Traced ones cannot be looked at, nor those of which other processes hold a part.
    """
    for name, array in arrays.items():
        if isinstance(array, jax.core.Tracer) or not getattr(array, "is_fully_addressable", True):
            continue
        library: Any = jnp if isinstance(array, jax.Array) else np
        if not bool(library.isfinite(library.asarray(array)).all()):
            yield name
