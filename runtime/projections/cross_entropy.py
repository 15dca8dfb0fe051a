"""Cross-entropy: the prox of ``L (logsumexp(l) - l_right)``.

Set: none; the loss is a convex function F of the logits of a site, given its right class.

Projection: its prox, argmin over ``l'`` of ``|l' - l|^2 / 2 + F(l')``.

Solution: ``l' = c - L softmax(l')`` with ``c = l + L onehot``. With ``v = logsumexp(l')`` the entries of
``w = L softmax(l')`` solve ``w_i + log w_i = log L + c_i - v``, so ``w_i = omega(log L + c_i - v)`` with
Wright's omega; v is the root of ``sum_i omega(log L + c_i - v) = L``, whose left side is decreasing and
convex in v. Newton from ``v = max c - L``, where the left side is at least L, climbs to it without a
safeguard. c is shifted by its maximum first.

Ties: none, F is convex.

Source: R. Corless and D. Jeffrey, "The Wright omega function" (2002); the prox of logsumexp: N. Parikh and
S. Boyd, "Proximal Algorithms" (2014), section 6.

Shapes: logits ``[*sites, C]``, targets integers ``[*sites]`` from 0 to C - 1.

Exact: to rounding, relative to the larger of L and the spread of the logits.

Cost: O(C) a Newton step, about 6 steps and 6 more inside omega.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, log
from typing import ClassVar

import jax.numpy as jnp
from jax import Array, lax

from pjc.runtime.projections.operator import Loss

MAX_STEPS = 100
OMEGA_STEPS = 6


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """``strength`` times the cross-entropy of softmax(logits).

    Raises:
        ValueError: if the strength is not a positive finite number.
    """

    name: ClassVar[str] = "cross_entropy"

    strength: float = 1.0

    def __post_init__(self) -> None:
        if not (isfinite(self.strength) and self.strength > 0):
            raise ValueError(f"strength must be positive and finite, found {self.strength}")

    def project(self, inputs: tuple[Array, ...], target: Array) -> tuple[Array, ...]:
        (logits,) = inputs
        strength = jnp.asarray(self.strength, logits.dtype)
        right = jnp.arange(logits.shape[-1]) == target[..., None]
        c = logits + jnp.where(right, strength, 0)
        shifted = c - jnp.max(c, axis=-1, keepdims=True) + log(self.strength)

        def unfinished(carry: tuple[Array, Array, Array]) -> Array:
            step, _, moving = carry
            return (step < MAX_STEPS) & jnp.any(moving)

        def advance(carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
            step, v, _ = carry
            w = omega(shifted - v[..., None])
            climb = (jnp.sum(w, axis=-1) - strength) / jnp.sum(w / (1 + w), axis=-1)
            moving = climb > 4 * jnp.finfo(v.dtype).eps * (jnp.abs(v) + 1)
            return step + 1, v + jnp.maximum(climb, 0), moving

        v = jnp.full(logits.shape[:-1], -strength, logits.dtype)
        v = lax.while_loop(unfinished, advance, (jnp.zeros((), jnp.int32), v, v == v))[1]
        return (c - omega(shifted - v[..., None]),)


def omega(u: Array) -> Array:
    """Return Wright's omega, the root w > 0 of ``w + log w = u``.

    Newton for ``y = log w`` on the convex increasing ``y + exp(y) - u``, from the right: ``y = u`` for
    u < 1, ``y = log u`` else.
    """
    y = jnp.where(u < 1, u, jnp.log(jnp.maximum(u, 1)))
    for _ in range(OMEGA_STEPS):
        e = jnp.exp(y)
        y = y - (y + e - u) / (1 + e)
    return jnp.exp(y)
