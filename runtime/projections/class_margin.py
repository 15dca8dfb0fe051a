"""Class margins: the right logit above every other by a margin.

Set: ``{l : l_right >= l_j + m for all other j}`` for each site, given its right class; a cone's translate,
convex.

Projection: argmin over ``l'`` in the set of ``|l' - l|^2``.

Solution: with ``a_j = l_j + m``, the right logit rises to the level u, and every other falls to at most
``u - m``, where u is the root of ``(u - l_right) - sum max(0, a_j - u)``: the level at which a maximum's
largest terms meet its value, found by the same Newton steps (max.py). Demand: the same, in differences to
``l_right``.

Ties: none, the set is convex.

Source: the optimality conditions; the requirement is that of K. Crammer and Y. Singer, "On the algorithmic
implementation of multiclass kernel-based vector machines" (2001).

Shapes: logits ``[*sites, C]``, targets integers ``[*sites]`` from 0 to C - 1.

Exact: to rounding, relative to the largest of |l_j| and m.

Cost: that of a maximum.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import ClassVar

import jax.numpy as jnp
from jax import Array

from pjc.runtime.projections.max import mean_of_all, meeting_level
from pjc.runtime.projections.operator import Loss
from pjc.runtime.projections.scale import bounded


@dataclass(frozen=True)
class ClassMargin(Loss):
    """The right class's logit at least ``margin`` above all others.

    Raises:
        ValueError: if the margin is not a positive finite number.
    """

    name: ClassVar[str] = "class_margin"

    margin: float = 1.0

    def __post_init__(self) -> None:
        if not (isfinite(self.margin) and self.margin > 0):
            raise ValueError(f"margin must be positive and finite, found {self.margin}")

    def project(self, inputs: tuple[Array, ...], target: Array) -> tuple[Array, ...]:
        (logits,) = inputs
        right = jnp.arange(logits.shape[-1]) == target[..., None]
        scale = bounded(jnp.maximum(jnp.max(jnp.abs(logits), axis=-1), self.margin))
        scaled, margin = logits / scale[..., None], self.margin / scale
        own = jnp.sum(jnp.where(right, scaled, 0), axis=-1)
        # The right logit takes no part in the sum: at its own height it never exceeds the level.
        others = jnp.where(right, own[..., None], scaled + margin[..., None])
        start = mean_of_all((others,), own, (-1,), (own + jnp.max(others, axis=-1)) / 2)
        level = meeting_level((others,), own, (-1,), start)
        ceiling = (level - margin) * scale
        return (jnp.where(right, (level * scale)[..., None], jnp.minimum(logits, ceiling[..., None])),)

    def demand(self, inputs: tuple[Array, ...], target: Array) -> tuple[Array, ...]:
        (logits,) = inputs
        right = jnp.arange(logits.shape[-1]) == target[..., None]
        scale = bounded(jnp.maximum(jnp.max(jnp.abs(logits), axis=-1, keepdims=True), self.margin))
        scaled = logits / scale
        own = jnp.sum(jnp.where(right, scaled, 0), axis=-1, keepdims=True)
        above = jnp.where(right, 0, scaled - own + self.margin / scale)
        nothing = jnp.zeros(logits.shape[:-1], logits.dtype)
        start = mean_of_all((above,), nothing, (-1,), jnp.max(above, axis=-1) / 2)
        level = meeting_level((above,), nothing, (-1,), start)[..., None]
        return (scale * jnp.where(right, level, jnp.minimum(level - above, 0)),)
