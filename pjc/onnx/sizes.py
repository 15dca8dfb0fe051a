"""Sizes that the text names: each open dimension is a polynomial in their names.

Shapes are plain numbers on the way through a model, and open ones numbers that know where they come from:
arithmetic keeps that, so no size of an open dimension is ever taken for a number of the model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pjc.frontends.reserved import tuple_text

PRIMES = (2_147_483_629, 2_147_483_587, 2_147_483_579, 2_147_483_563, 2_147_483_549, 2_147_483_543)
"""What open dimensions are where sizes are compared: larger than any that a model gives a number."""

Monomial = tuple[str, ...]
Terms = Mapping[Monomial, int]


class SizeError(ValueError):
    """A size that is no product of a number and open dimensions."""


class Open(int):
    """A size that depends on open dimensions.

    As an int it is the size at large primes, which decides comparisons; no text, constant or message shows
    that number. ``terms`` are its coefficients by the names that stand in each product; None where it is no
    polynomial, as half of a dimension is.
    """

    terms: Terms | None

    def __new__(cls, value: int, terms: Terms | None) -> Open:
        made = super().__new__(cls, value)
        made.terms = terms
        return made

    def __add__(self, other: object) -> Any:
        return _combined(self, other, int.__add__, _sum)

    def __sub__(self, other: object) -> Any:
        return _combined(self, other, int.__sub__, lambda a, b: _sum(a, _product(b, {(): -1})))

    def __mul__(self, other: object) -> Any:
        return _combined(self, other, int.__mul__, _product)

    def __floordiv__(self, other: object) -> Any:
        return _combined(self, other, int.__floordiv__, _quotient)

    def __mod__(self, other: object) -> Any:
        return _combined(self, other, int.__mod__, _remainder)

    __radd__, __rmul__ = __add__, __mul__

    def __rsub__(self, other: object) -> Any:
        return -self + other

    def __rfloordiv__(self, other: object) -> Any:
        return _combined(other, self, int.__floordiv__, _quotient)

    def __rmod__(self, other: object) -> Any:
        return _combined(other, self, int.__mod__, _remainder)

    def __neg__(self) -> Any:
        return self * -1

    def __abs__(self) -> Any:
        return self if int(self) >= 0 else -self

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Open) and int(self) == int(other) and self.terms == other.terms

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return int.__hash__(self)

    def __repr__(self) -> str:
        """Return the size as messages show it."""
        if self.terms is None:
            return "?"
        shown = [
            " * ".join([*([str(number)] if number != 1 or not names else []), *names])
            for names, number in self.terms.items()
        ]
        return " + ".join(shown)

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)


def _combined(a: Any, b: Any, number: Any, terms: Any) -> Any:
    if not isinstance(a, int) or not isinstance(b, int):
        return NotImplemented
    left, right = _terms(a), _terms(b)
    found = None if left is None or right is None else terms(left, right)
    if found is not None and not any(names for names in found):
        return found.get((), 0)
    return Open(number(int(a), int(b)), found)


def _terms(size: int) -> Terms | None:
    if isinstance(size, Open):
        return size.terms
    return {(): int(size)} if size else {}


def _sum(a: Terms, b: Terms) -> Terms:
    found = {names: a.get(names, 0) + b.get(names, 0) for names in (*a, *b)}
    return {names: number for names, number in found.items() if number}


def _product(a: Terms, b: Terms) -> Terms:
    found: dict[Monomial, int] = {}
    for left, number in a.items():
        for right, other in b.items():
            names = tuple(sorted((*left, *right)))
            found[names] = found.get(names, 0) + number * other
    return {names: number for names, number in found.items() if number}


def _quotient(a: Terms, b: Terms) -> Terms | None:
    """Return a quotient without a remainder; None where there is one, or may be."""
    if len(b) != 1:
        return None
    ((divisor, number),) = b.items()
    found: dict[Monomial, int] = {}
    for names, own in a.items():
        left = list(names)
        for name in divisor:
            if name not in left:
                return None
            left.remove(name)
        if own % number:
            return None
        found[tuple(left)] = own // number
    return found


def _remainder(a: Terms, b: Terms) -> Terms | None:
    return None if _quotient(a, b) is None else {}


class Sizes:
    """The open dimensions of a model, by their names."""

    def __init__(self) -> None:
        self.known: dict[str, Open] = {}

    def open(self, name: str) -> Open:
        """Return the size of a dimension; raise SizeError if there are too many."""
        if name not in self.known:
            if len(self.known) == len(PRIMES):
                raise SizeError(f"more than {len(PRIMES)} dimensions are open")
            self.known[name] = Open(PRIMES[len(self.known)], {(name,): 1})
        return self.known[name]

    def is_open(self, size: int) -> bool:
        """Whether a size depends on an open dimension."""
        return isinstance(size, Open)

    def show(self, size: int) -> str:
        """Return the text of a size; raise SizeError if it is a sum with an open dimension in it."""
        if not isinstance(size, Open):
            return str(int(size))
        if size.terms is None or len(size.terms) != 1 or min(size.terms.values()) < 1:
            raise SizeError("a size is a sum in which an open dimension stands; give it a fixed size")
        return repr(size)

    def shape(self, shape: Sequence[int]) -> str:
        """Return the text of a shape."""
        return tuple_text([self.show(size) for size in shape])


def stands_in(dimension: int, size: int) -> bool:
    """Whether a size depends on an open dimension, or may."""
    if not isinstance(size, Open) or not isinstance(dimension, Open):
        return False
    names = {name for each in dimension.terms or () for name in each}
    return size.terms is None or any(names.intersection(each) for each in size.terms)


def is_multiple(size: int, factor: int) -> bool:
    """Whether an open dimension is a factor of a size."""
    return isinstance(size, Open) and not isinstance(size % factor, Open)
