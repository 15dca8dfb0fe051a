"""Margins: the right logit high, the others low.

Set: ``{l : l_right >= high, l_wrong <= low}`` for each site, given its right class; a box, convex.

Projection: argmin over ``l'`` in the set of ``|l' - l|^2``.

Solution: each logit is clamped to its half-line. Demand: how far it is outside of that.

Ties: none, the set is convex.

Source: the projection onto a box; N. Parikh and S. Boyd, "Proximal Algorithms" (2014), section 6.2.4.

Shapes: logits ``[*sites, C]``, targets integers ``[*sites]`` from 0 to C - 1.

Exact: yes.

Cost: O(C) a site.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp
from jax import Array

from pjc.runtime.projections.operator import Loss


@dataclass(frozen=True)
class Margin(Loss):
    """The right class's logit at least ``high``, the others at most ``low``."""

    name: ClassVar[str] = "margin"

    low: float = 0.0
    high: float = 1.0

    def project(self, inputs: tuple[Array, ...], target: Array) -> tuple[Array, ...]:
        (logits,) = inputs
        right = jnp.arange(logits.shape[-1]) == target[..., None]
        return (jnp.where(right, jnp.maximum(logits, self.high), jnp.minimum(logits, self.low)),)

    def demand(self, inputs: tuple[Array, ...], target: Array) -> tuple[Array, ...]:
        (logits,) = inputs
        right = jnp.arange(logits.shape[-1]) == target[..., None]
        rise, fall = jnp.maximum(self.high - logits, 0), jnp.minimum(self.low - logits, 0)
        return (jnp.where(right, rise, fall),)
