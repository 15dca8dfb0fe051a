"""What an operator of the feasibility problem is: a function, its graph, and the projection onto it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp
from jax import Array


@dataclass(frozen=True)
class Operator(ABC):
    """A function ``f`` of one or more arrays, applied at many sites at once, and its graph.

    The constraint is ``{(x_1, ..., x_n, z) : z = f(x_1, ..., x_n)}``, one independent copy of it for
    each *site*. The axes that ``f`` reduces come last or are named by a field; all other axes count
    sites. Subclasses are frozen dataclasses whose fields are the operator's static attributes.
    """

    name: ClassVar[str]
    """The name shared with the op: ``sum_relu`` for ``op.sum_relu``."""

    @abstractmethod
    def forward(self, *inputs: Array) -> Array:
        """Return ``f(inputs)``, one value for each site."""

    @abstractmethod
    def project(self, inputs: tuple[Array, ...], z: Array) -> tuple[tuple[Array, ...], Array]:
        """Return the nearest point of the graph to ``(inputs, z)`` as (new inputs, new value).

        The new value equals ``f(new inputs)`` up to rounding; at a jump of ``f`` it is the limit
        that makes the pair nearest. Every finite argument gives a finite result.
        """

    def bridged(self) -> Operator:
        """Return what a sweep takes this operator for: itself, or where it jumps one that does not."""
        return self

    def respond(self, inputs: tuple[Array, ...], demand: Array, weight: Array | float) -> tuple[Array, ...]:
        """Return how the inputs move when so much more is demanded of the value.

        ``D = argmin |D|^2 + weight |g(inputs + D) - g(inputs) - demand|^2`` with ``g`` of :meth:`bridged`:
        the weighted projection of the point of rest, as a displacement, so that a demand of any size below
        that of the value keeps its digits. The weight is positive, a number or an array that broadcasts
        against the demand. Every finite argument gives numbers.

        Operators without a response of their own answer with their projection, at weight 1, which loses
        demands that vanish beside the value.
        """
        new, _ = self.project(inputs, self.forward(*inputs) + demand)
        return tuple(after - before for after, before in zip(new, inputs, strict=True))

    def gain(self, inputs: tuple[Array, ...], weight: Array | float) -> Array | float:
        """Return what responses are multiplied with so that a linear site passes a demand on undiminished.

        A number, or an array that broadcasts against the demand. That of the projection at weight 1 is 2.
        """
        return 2.0

    @property
    def precise(self) -> bool:
        """Whether the operator has a response of its own, by which small demands get through."""
        return type(self).respond is not Operator.respond

    def scaled_response(
        self, inputs: tuple[Array, ...], demand: Array, weight: Array | float
    ) -> tuple[Array, ...]:
        """Return the response times the gain: what a sweep hands on, of the inputs' shapes."""
        gain = jnp.asarray(self.gain(inputs, weight))
        wide = gain.reshape((1,) * (demand.ndim - gain.ndim) + gain.shape)
        return tuple(self.spread(wide, move) * move for move in self.respond(inputs, demand, weight))

    def spread(self, site: Array, like: Array) -> Array:
        """Return numbers that broadcast against values in a shape that does so against an input."""
        return jnp.expand_dims(site, tuple(range(site.ndim, like.ndim)))


@dataclass(frozen=True)
class Loss(ABC):
    """A training requirement on a value, given a target: a set, or a function with a prox."""

    name: ClassVar[str]

    @abstractmethod
    def project(self, inputs: tuple[Array, ...], target: Array) -> tuple[Array, ...]:
        """Return the projection (or prox) of the inputs, given the target of each site."""

    def demand(self, inputs: tuple[Array, ...], target: Array) -> tuple[Array, ...]:
        """Return what the loss demands of its inputs: how far :meth:`project` moves them."""
        new = self.project(inputs, target)
        return tuple(after - before for after, before in zip(new, inputs, strict=True))

    def value(self, inputs: tuple[Array, ...], target: Array) -> Array:
        """Return the loss at each site, in the target's shape; never negative.

        Of a function that is its value; of a set half the square of how far the inputs are from it.
        """
        squares = [jnp.square(each) for each in self.demand(inputs, target)]
        return jnp.sum(
            jnp.stack([jnp.sum(each, axis=tuple(range(target.ndim, each.ndim))) for each in squares]) / 2,
            axis=0,
        )
