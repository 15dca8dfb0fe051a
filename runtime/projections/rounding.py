"""Arithmetic that rounds once for each operation, as IEEE 754 and other programs have it, also under XLA.

Compilers add the product of two numbers to a third one without rounding it first, and multiply with a
constant's reciprocal in place of a division. Both are as good, but differ in the last bit from what a runtime
computes that takes one operation after the other; and behind a jump the last bit decides.
"""

from __future__ import annotations

from math import frexp

import jax.numpy as jnp
from jax import Array


def rounded(product: Array) -> Array:
    """Return a product that what reads it does not open: the smaller of it and the largest finite number.

    What is infinite stays so.
    """
    return jnp.where(jnp.isinf(product), product, jnp.minimum(product, jnp.finfo(product.dtype).max))


def scaled(x: Array, weight: float) -> Array:
    """Return ``weight * x``, rounded; a power of two rounds nothing."""
    if weight == 1:
        return x
    return weight * x if abs(frexp(weight)[0]) == 0.5 else rounded(weight * x)


def quotient(x: Array, divisor: float) -> Array:
    """Return ``x / divisor``, rounded once; that the divisor hangs on x hides that it is a constant."""
    if abs(frexp(divisor)[0]) == 0.5:
        return x * (1 / divisor)
    return x / jnp.where(jnp.isnan(x), x, jnp.asarray(divisor, x.dtype))
