"""Losses with targets of numbers: squared error, equality, and several labels at once.

Sets and functions, entry by entry, for a value v and its target y: the function ``s/2 (v - y)^2``; the set
``{v : v = y}``; the set ``{v : v >= high}`` where y > 1/2 and ``{v : v <= low}`` elsewhere. All convex.

Projections: argmin over v' of ``(v' - v)^2 / 2`` plus the function, or of ``(v' - v)^2`` in the set.

Solutions: ``(v + s y) / (1 + s)``; y; v clamped to its half-line.

Demands: ``s (y - v) / (1 + s)``; ``y - v``; how far v is outside of its half-line.

Ties: none.

Source: N. Parikh and S. Boyd, "Proximal Algorithms" (2014), sections 6.1.1 and 6.2.4.

Shapes: values and targets of one shape.

Exact: to rounding; the sets' projections exactly.

Cost: O(1) an entry.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import ClassVar

import jax.numpy as jnp
from jax import Array

from pjc.runtime.projections.operator import Loss


@dataclass(frozen=True)
class SquaredError(Loss):
    """``strength / 2`` times the squared error.

    Raises:
        ValueError: if the strength is not a positive finite number.
    """

    name: ClassVar[str] = "squared_error"

    strength: float = 1.0

    def __post_init__(self) -> None:
        if not (isfinite(self.strength) and self.strength > 0):
            raise ValueError(f"strength must be positive and finite, found {self.strength}")

    def project(self, inputs: tuple[Array, ...], target: Array) -> tuple[Array, ...]:
        (value,) = inputs
        own = 1 / (1 + self.strength)
        return (own * value + (1 - own) * target,)

    def demand(self, inputs: tuple[Array, ...], target: Array) -> tuple[Array, ...]:
        (value,) = inputs
        return (self.strength / (1 + self.strength) * (target - value),)

    def value(self, inputs: tuple[Array, ...], target: Array) -> Array:
        (value,) = inputs
        return self.strength / 2 * jnp.square(target - value)


@dataclass(frozen=True)
class Equal(Loss):
    """The value equal to the target."""

    name: ClassVar[str] = "equal"

    def project(self, inputs: tuple[Array, ...], target: Array) -> tuple[Array, ...]:
        return (jnp.asarray(target, inputs[0].dtype),)


@dataclass(frozen=True)
class MultiLabel(Loss):
    """Logits whose target is 1 at least ``high``, those whose target is 0 at most ``low``."""

    name: ClassVar[str] = "multi_label"

    low: float = 0.0
    high: float = 1.0

    def project(self, inputs: tuple[Array, ...], target: Array) -> tuple[Array, ...]:
        (logits,) = inputs
        return (jnp.where(target > 0.5, jnp.maximum(logits, self.high), jnp.minimum(logits, self.low)),)

    def demand(self, inputs: tuple[Array, ...], target: Array) -> tuple[Array, ...]:
        (logits,) = inputs
        rise, fall = jnp.maximum(self.high - logits, 0), jnp.minimum(self.low - logits, 0)
        return (jnp.where(target > 0.5, rise, fall),)
