"""Sums along an axis of a tensor or over all of it, and products, in forms that XLA for CPUs is fast at.

It joins a plain sum along an axis to what reads it, and is slower at both than at the two apart: by a tenth
of the time of a sweep. So these are products with ones. A sum over few numbers it takes in three kernels,
each of which takes as long to compile as one of a large tensor; in blocks it takes it in one, with all that
makes the numbers.
"""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
from jax import Array, lax

BLOCK = 32
"""The longest axis along which XLA for CPUs reduces in one kernel."""

MANY = 4096
"""From so many numbers on it has a library reduce them, for which it compiles nothing."""


def row_sums(x: Array) -> Array:
    """Return the sums along the last axis, ``[.., N] -> [.., 1]``."""
    if x.size < MANY and x.shape[-1] <= BLOCK:
        return jnp.sum(x, axis=-1, keepdims=True)
    return jnp.matmul(x, jnp.ones((x.shape[-1], 1), x.dtype), precision=lax.Precision.HIGHEST)


def column_sums(x: Array) -> Array:
    """Return the sums along the axis before the last, ``[.., K, N] -> [.., 1, N]``."""
    if not _is_one_matrix(x):
        return jnp.sum(x, axis=-2, keepdims=True)
    return matrix_product(jnp.ones((1, x.shape[-2]), x.dtype), x, precision=lax.Precision.HIGHEST)


def matrix_product(
    a: Array, b: Array, *, turned: tuple[bool, bool] = (False, False), precision: lax.Precision | None = None
) -> Array:
    """Return ``a @ b``, each transposed where it is turned; of two matrices if there is one of each.

    A product of stacks, though of one matrix each as in the steps of a loop, XLA for CPUs joins to what
    stands around it, with both operands written out as its library wants them.
    """
    ahead, single = max(a.ndim, b.ndim) - 2, _is_one_matrix(a) and _is_one_matrix(b)
    if single:
        a, b = a.reshape(a.shape[-2:]), b.reshape(b.shape[-2:])
    a, b = (jnp.swapaxes(x, -1, -2) if turn else x for x, turn in zip((a, b), turned, strict=True))
    found = jnp.matmul(a, b, precision=precision)
    return found.reshape(*[1] * ahead, *found.shape) if single else found


def _is_one_matrix(x: Array) -> bool:
    """Whether all axes in front of the last two have length 1."""
    return all(size == 1 for size in x.shape[:-2])


def in_blocks(reduce: Callable[..., Array], x: Array) -> Array:
    """Return what ``reduce``, as ``jnp.sum`` or ``jnp.max``, makes of the last axis, ``[.., N] -> [..]``."""
    while x.shape[-1] > BLOCK and x.size < MANY:
        width = max(size for size in range(1, BLOCK + 1) if x.shape[-1] % size == 0)
        if width == 1:
            break
        # The barrier, as two reductions one after the other would be made one again.
        x = lax.optimization_barrier(reduce(x.reshape(*x.shape[:-1], -1, width), axis=-1))
    return reduce(x, axis=-1)
