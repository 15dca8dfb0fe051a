"""What an operator of the feasibility problem is: a function, its graph, and the projection onto it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

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


@dataclass(frozen=True)
class Loss(ABC):
    """A training requirement on a value, given a target: a set, or a function with a prox."""

    name: ClassVar[str]

    @abstractmethod
    def project(self, inputs: tuple[Array, ...], target: Array) -> tuple[Array, ...]:
        """Return the projection (or prox) of the inputs, given the target of each site."""
