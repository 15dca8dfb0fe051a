"""Weighted sums of states, not yet added: what stands in both a sum and what is taken from it never is.

A solver combines whole states, of which a part changes only some variables, so that most terms cancel: in
Douglas-Rachford ``x + P_B(2 P_A x - x) - P_A x`` is ``P_A x`` where part B changes nothing. In floating-point
arithmetic a compiler may not see that; here equal terms are found before anything is added.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jax import Array


@dataclass(frozen=True, eq=False)
class Combination:
    """A sum of weight times array, each array once and no weight zero; none for zero."""

    terms: tuple[tuple[float, Array], ...]


Lazy = Array | Combination
LazyState = Mapping[str, Lazy]


def combined(weights: Sequence[float], values: Sequence[Lazy]) -> Lazy:
    """Return the sum of weight times value; the array itself where that is all that is left."""
    found: list[tuple[float, Array]] = []
    for weight, value in zip(weights, values, strict=True):
        for own, array in value.terms if isinstance(value, Combination) else ((1.0, value),):
            _add_term(found, weight * own, array)
    terms = tuple((weight, array) for weight, array in found if weight)
    return terms[0][1] if len(terms) == 1 and terms[0][0] == 1 else Combination(terms)


def _add_term(terms: list[tuple[float, Array]], weight: float, array: Array) -> None:
    """Add a weight to the term of this very array, or a term if there is none yet."""
    for index, (before, other) in enumerate(terms):
        if other is array:
            terms[index] = before + weight, array
            return
    terms.append((weight, array))


def is_zero(value: Lazy) -> bool:
    """Return whether everything has cancelled."""
    return isinstance(value, Combination) and not value.terms


def equal(one: Lazy, other: Lazy) -> bool:
    """Return whether two sums have the same terms."""
    return is_zero(combined((1, -1), (one, other)))


def added(value: Lazy) -> Array:
    """Return the sum as an array.

    Raises:
        ValueError: if nothing is left of it: then nothing tells its shape.
    """
    if not isinstance(value, Combination):
        return value
    if not value.terms:
        raise ValueError("a sum in which everything cancels has no shape")
    (weight, array), *others = value.terms
    total = array if weight == 1 else weight * array
    for weight, array in others:
        total = total + weight * array
    return total
