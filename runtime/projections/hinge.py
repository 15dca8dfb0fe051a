"""Hinge losses: the prox of ``L sum_j max(0, 1 - s_j l_j)``, with s_j = 1 for the right class, else -1.

Set: none; the loss is a convex function F of the logits of a site, given its right class.

Projection: its prox, argmin over ``l'`` of ``|l' - l|^2 / 2 + F(l')``, entry by entry.

Solution: with ``t = s_j l_j``: t where t >= 1, ``t + L`` where t <= 1 - L, else 1. Demand: ``s_j`` times
``1 - t``, clipped to ``[0, L]``.

Ties: none, F is convex.

Source: N. Parikh and S. Boyd, "Proximal Algorithms" (2014), section 6.5.2, for a piecewise linear function.

Shapes: logits ``[*sites, C]``, targets integers ``[*sites]`` from 0 to C - 1.

Exact: to rounding.

Cost: O(C) a site.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import ClassVar

import jax.numpy as jnp
from jax import Array

from pjc.runtime.projections.operator import Loss


@dataclass(frozen=True)
class Hinge(Loss):
    """``strength`` times the hinge loss of each class against the rest.

    Raises:
        ValueError: if the strength is not a positive finite number.
    """

    name: ClassVar[str] = "hinge"

    strength: float = 1.0

    def __post_init__(self) -> None:
        if not (isfinite(self.strength) and self.strength > 0):
            raise ValueError(f"strength must be positive and finite, found {self.strength}")

    def project(self, inputs: tuple[Array, ...], target: Array) -> tuple[Array, ...]:
        (logits,) = inputs
        right = jnp.arange(logits.shape[-1]) == target[..., None]
        sign = jnp.where(right, 1, -1).astype(logits.dtype)
        t = sign * logits
        return (sign * jnp.maximum(t, jnp.minimum(t + self.strength, 1)),)

    def demand(self, inputs: tuple[Array, ...], target: Array) -> tuple[Array, ...]:
        (logits,) = inputs
        right = jnp.arange(logits.shape[-1]) == target[..., None]
        sign = jnp.where(right, 1, -1).astype(logits.dtype)
        return (sign * jnp.clip(1 - sign * logits, 0, self.strength),)

    def value(self, inputs: tuple[Array, ...], target: Array) -> Array:
        (logits,) = inputs
        right = jnp.arange(logits.shape[-1]) == target[..., None]
        short = jnp.maximum(1 - jnp.where(right, logits, -logits), 0)
        return self.strength * jnp.sum(short, axis=-1)
