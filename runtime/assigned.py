"""Run what is assigned to devices (dialects/assigned.py), as one program on each device of the stack axis.

Each takes the branch of its own constraints, and what several use is added up: an all-reduce of what changed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax.numpy as jnp
from jax import Array, lax

from pjc.runtime.mesh import STACK


def own_branch(branches: Sequence[Callable[[], list[Array]]]) -> list[Array]:
    """Return what this device's branch returns."""
    found: list[Array] = lax.switch(lax.axis_index(STACK), branches)
    return found


def told(before: Array, after: Array) -> Array:
    """Return a variable with what all devices changed in it."""
    return jnp.asarray(before + lax.psum(after - before, STACK))


def from_device(device: int, value: Array) -> Array:
    """Return on all devices what one has."""
    mine = lax.axis_index(STACK) == device
    return jnp.asarray(lax.psum(jnp.where(mine, value, jnp.zeros_like(value)), STACK))
