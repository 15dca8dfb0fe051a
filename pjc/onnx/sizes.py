"""Sizes that the text names: each open dimension is computed with as a large prime.

So shapes are plain numbers on the way through a model, folding needs no algebra, and where the text
needs a size its prime factors tell which dimensions it came from.
"""

from __future__ import annotations

from collections.abc import Sequence

PRIMES = (2_147_483_629, 2_147_483_587, 2_147_483_579, 2_147_483_563, 2_147_483_549, 2_147_483_543)
LARGEST = 2**22
"""Sizes above are taken for a part of an open dimension."""


class SizeError(ValueError):
    """A size that is no product of a number and open dimensions."""


class Sizes:
    """The open dimensions of a model; ``names`` by their primes."""

    def __init__(self) -> None:
        self.names: dict[int, str] = {}

    def prime(self, name: str) -> int:
        """Return what stands for a dimension; raise SizeError if there are too many."""
        for prime, known in self.names.items():
            if known == name:
                return prime
        if len(self.names) == len(PRIMES):
            raise SizeError(f"more than {len(PRIMES)} dimensions are open")
        prime = PRIMES[len(self.names)]
        self.names[prime] = name
        return prime

    def is_open(self, size: int) -> bool:
        """Whether a size depends on an open dimension."""
        return bool(self.names) and abs(size) > LARGEST

    def show(self, size: int) -> str:
        """Return the text of a size; raise SizeError if it is a sum with an open dimension in it."""
        if not self.is_open(size):
            return str(size)
        factors, rest = [], size
        for prime, name in self.names.items():
            while rest % prime == 0:
                factors.append(name)
                rest //= prime
        if self.is_open(rest):
            raise SizeError("a size is a sum in which an open dimension stands; give it a fixed size")
        return " * ".join([*([str(rest)] if rest != 1 else []), *factors])

    def shape(self, shape: Sequence[int]) -> str:
        """Return the text of a shape."""
        return tuple_text([self.show(size) for size in shape])


def tuple_text(items: Sequence[object]) -> str:
    """Return ``(a, b)``, and ``(a,)`` for one item."""
    shown = ", ".join(map(str, items))
    return f"({shown},)" if len(items) == 1 else f"({shown})"
